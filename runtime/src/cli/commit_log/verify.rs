//! `tidegate commit-log verify`: whether what the log says is true.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::super::aligned::print;
use super::super::positions::{Place, ledgers, or_dash, pipelines};
use super::super::{Failure, block_on};
use crate::clickhouse::Comparable;
use crate::config::Config;
use crate::load::{Loader, storages};
use crate::start::{brokers, loader};
use crate::verify::{Checked, Compared, Finding, Rows, State, by_sum};

/// Adds up every record that the log still has, and compares: outcomes with messages, ranges with each other, positions with
/// those that are committed and with what the topic has, rows with tables that have columns `partition` and `offset`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate commit-log verify pipeline.yaml
  tidegate commit-log verify pipeline.yaml --pipeline errors --json | jq '.findings[] | select(.wrong)'

Exit code 4 when something is missing, double, skipped or does not agree.")]
pub struct VerifyArgs {
    /// The configuration, YAML
    config: PathBuf,
    /// Only this pipeline; all that have a commit log without it
    #[arg(long)]
    pipeline: Option<String>,
}

/// What was found of a pipeline.
struct Verified<'a> {
    place: &'a Place<'a>,
    partitions: Vec<Checked>,
    /// Storages that are not compared row by row, and why.
    not_compared: Vec<(String, String)>,
    /// Of all partitions together.
    sums: Vec<Finding>,
}

pub fn verify(args: &VerifyArgs, json: bool) -> Result<(), Failure> {
    let config = Arc::new(Config::read(&args.config)?);
    let mut chosen = pipelines(&config, args.pipeline.as_deref())?;
    chosen.retain(|(_, pipeline)| pipeline.commit_log.is_some());
    if chosen.is_empty() {
        return Err(Failure::Usage("there is no such pipeline with a commit log".into()));
    }
    let ledgers = ledgers(&brokers(&config), &chosen)?;
    let places = chosen.into_iter().map(|chosen| Place::of(&config, chosen, &ledgers));
    let places = places.collect::<Result<Vec<_>, _>>()?;
    let loader = loader(config.clone());
    let wrong = block_on(async {
        let mut wrong = 0;
        for place in &places {
            let verified = Verified::of(place, &loader).await?;
            print(&if json { vec![verified.json().to_string()] } else { verified.lines() })?;
            wrong += verified.findings().filter(|finding| finding.kind.is_wrong()).count();
        }
        Ok::<_, Failure>(wrong)
    })??;
    match wrong {
        0 => Ok(()),
        _ => Err(Failure::Differs(format!("{wrong} finding(s): the commit log is not what is there"))),
    }
}

impl<'a> Verified<'a> {
    async fn of(place: &'a Place<'a>, loader: &Loader) -> Result<Self, Failure> {
        let unreachable = |storage: &str, error: &dyn std::fmt::Display| {
            Failure::Unreachable(format!("storage {storage:?}: {error}"))
        };
        let (mut tables, mut not_compared) = (Vec::new(), Vec::new());
        for storage in storages(place.pipeline) {
            let (cluster, table) = loader.table(storage);
            let comparable = match loader.others_that_write(place.name, storage) {
                others if others.is_empty() => Comparable::of(cluster, table).await,
                others => Ok(Comparable::Not(format!("{} write(s) to the same table", others.join(", ")))),
            };
            let table = comparable.map_err(|error| unreachable(storage, &error))?;
            match &table {
                Comparable::ByOffset(_) => {}
                Comparable::BySum { .. } => {
                    not_compared.push((storage.to_owned(), "by its sum only: no columns partition and offset".into()));
                }
                Comparable::Not(why) => not_compared.push((storage.to_owned(), why.clone())),
            }
            tables.push(Compared { storage: storage.to_owned(), table });
        }
        let mut partitions = Vec::new();
        for subject in place.subjects() {
            let what = format!("{} of pipeline {}", subject.partition, place.name);
            tracing::info!(what, "comparing");
            let checked = subject.check(&tables).await;
            partitions.push(checked.map_err(|error| Failure::Unreachable(format!("{what}: {error}")))?);
        }
        let sums = tables.iter().filter_map(|compared| sum(compared, &partitions)).collect();
        Ok(Self { place, partitions, not_compared, sums })
    }

    fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.partitions.iter().flat_map(|checked| &checked.findings).chain(&self.sums)
    }

    fn lines(&self) -> Vec<String> {
        let Place { name, pipeline, .. } = self.place;
        let log = pipeline.commit_log.as_ref().map_or("-", |log| log.topic.value.as_str());
        let mut lines = vec![format!("pipeline {name}: group {} in {log}", pipeline.group_in_commit_log())];
        for Checked { subject, rows, .. } in &self.partitions {
            let Some((account, last)) = subject.account.as_ref().and_then(|account| Some((account, account.last?)))
            else {
                lines.push(format!("  {}  no records", subject.partition));
                continue;
            };
            let (sums, committed) = (&account.sums, or_dash(subject.committed));
            lines.push(format!(
                "  {}  {} records to {}, committed {committed}, topic has {}: {}",
                subject.partition,
                account.records,
                last.position,
                subject.has,
                super::counted(sums)
            ));
            lines.extend(rows.iter().map(|(storage, Rows { expected, found })| {
                format!("    storage {storage}  {expected} row(s) expected, {found} found")
            }));
        }
        lines
            .extend(self.not_compared.iter().map(|(storage, why)| format!("  storage {storage}  not compared: {why}")));
        lines.extend(self.findings().map(|finding| format!("  {finding}")));
        if !self.findings().any(|finding| finding.kind.is_wrong()) {
            lines.push("  clean".into());
        }
        lines
    }

    fn json(&self) -> Value {
        let partition = |checked: &Checked| {
            let Checked { subject, rows, .. } = checked;
            let account = subject.account.as_ref();
            let last = account.and_then(|account| account.last);
            let segments = account.map_or(&[][..], |account| account.segments());
            json!({
                "partition": subject.partition.number,
                "records": account.map_or(0, |account| account.records),
                "begin": segments.first().map(|first| first.range.start),
                "position": last.map(|last| last.position),
                "epoch": last.map(|last| last.epoch),
                "committed": subject.committed,
                "low": subject.has.start,
                "end": subject.has.end,
                "counts": account.map(|account| &account.sums),
                "storages": rows,
            })
        };
        json!({
            "pipeline": self.place.name,
            "topic": self.place.topic(),
            "group": self.place.pipeline.group_in_commit_log(),
            "partitions": self.partitions.iter().map(partition).collect::<Vec<_>>(),
            "not_compared": self.not_compared.iter().cloned().collect::<BTreeMap<_, _>>(),
            "findings": self.findings().map(Finding::json).collect::<Vec<_>>(),
            "clean": !self.findings().any(|finding| finding.kind.is_wrong()),
        })
    }
}

/// Of a table without the columns that tell its rows apart.
fn sum(Compared { storage, table }: &Compared, partitions: &[Checked]) -> Option<Finding> {
    let Comparable::BySum { rows, keeps } = table else { return None };
    let accounts = || partitions.iter().filter_map(|checked| checked.subject.account.as_ref());
    let segments = accounts().flat_map(|account| account.segments());
    let (mut expected, mut is_whole) = (0, partitions.iter().all(|checked| checked.subject.others.is_empty()));
    for segment in segments {
        match &segment.state {
            State::Closed(counts) => expected += counts.storages.get(storage).copied().unwrap_or(0),
            State::Skipped | State::Unknown => is_whole = false,
        }
    }
    is_whole &= accounts().all(|account| account.segments().first().is_none_or(|first| first.range.start == 0));
    Some(by_sum(storage, expected, *rows, *keeps, is_whole))
}
