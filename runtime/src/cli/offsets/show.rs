//! `tidegate offsets show`: where every pipeline is.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::super::Failure;
use super::super::aligned::{aligned, print};
use super::super::positions::{Place, ledgers, member_json, named, or_dash, pipelines};
use crate::config::Config;
use crate::kafka::Standing;
use crate::start::brokers;

/// For every partition: the first offset that the topic still has, what the pipeline has committed, what its commit log says,
/// the end of the topic, and how many offsets there are still to do. No group is joined.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate offsets show pipeline.yaml --pipeline errors")]
pub struct ShowArgs {
    /// The configuration, YAML
    config: PathBuf,
    /// Only this pipeline
    #[arg(long)]
    pipeline: Option<String>,
}

pub fn show(args: &ShowArgs, json: bool) -> Result<(), Failure> {
    let config = Config::read(&args.config)?;
    let chosen = pipelines(&config, args.pipeline.as_deref())?;
    let ledgers = ledgers(&brokers(&config), &chosen)?;
    let places = chosen.into_iter().map(|chosen| Place::of(&config, chosen, &ledgers));
    let places = places.collect::<Result<Vec<_>, _>>()?;
    if json {
        return print(&places.iter().map(|place| as_json(place).to_string()).collect::<Vec<_>>());
    }
    let titles = ["PIPELINE", "PARTITION", "LOW", "COMMITTED", "LOG", "END", "LAG"].map(String::from);
    let mut table = vec![titles];
    for place in &places {
        table.extend(place.standings.iter().map(|standing| {
            [
                place.name.to_owned(),
                place.partition(standing.number).to_string(),
                standing.has.start.to_string(),
                or_dash(place.committed(standing)),
                or_dash(said(place, standing)),
                standing.has.end.to_string(),
                or_dash(lag(place, standing)),
            ]
        }));
    }
    let mut lines = aligned(&table);
    lines.push(String::new());
    lines.extend(places.iter().map(|place| match place.members.as_slice() {
        [] => format!("{}: group {} has no members", place.name, place.pipeline.group.as_str()),
        members => format!("{}: group {} has members: {}", place.name, place.pipeline.group.as_str(), named(members)),
    }));
    print(&lines)
}

fn said(place: &Place<'_>, standing: &Standing) -> Option<i64> {
    Some(place.account(standing.number)?.last?.position)
}

fn lag(place: &Place<'_>, standing: &Standing) -> Option<i64> {
    Some((standing.has.end - place.committed(standing)?).max(0))
}

fn as_json(place: &Place<'_>) -> serde_json::Value {
    let partition = |standing: &Standing| {
        json!({
            "partition": standing.number,
            "low": standing.has.start,
            "committed": place.committed(standing),
            "log": said(place, standing),
            "end": standing.has.end,
            "lag": lag(place, standing),
        })
    };
    json!({
        "pipeline": place.name,
        "topic": place.topic(),
        "group": place.pipeline.group.as_str(),
        "members": place.members.iter().map(member_json).collect::<Vec<_>>(),
        "partitions": place.standings.iter().map(partition).collect::<Vec<_>>(),
    })
}
