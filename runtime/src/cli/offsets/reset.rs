//! `tidegate offsets reset`: moves a pipeline, and tells its followers. In an order in which they never believe too much: whom
//! a lower position makes wait hears of it before the group goes back; a higher one is said when the group is there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::super::aligned::{aligned, print};
use super::super::positions::{Place, ledgers, member_json, named, pipelines};
use super::super::{Failure, block_on};
use super::plan::{Move, Plan};
use super::target::Target;
use crate::clickhouse::{Comparable, Keeps};
use crate::commit_log::to_publish;
use crate::config::Config;
use crate::kafka::{Brokers, Bystander, Publisher};
use crate::load::storages;
use crate::publish::Publish;
use crate::start::{brokers, loader};

/// Moves the position of a pipeline, in the group and in its commit log. Without --execute nothing is changed: it shows what
/// would happen, and what that means for rows and followers.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate offsets reset pipeline.yaml --pipeline errors --to 2h-ago
  tidegate offsets reset pipeline.yaml --pipeline errors --to 1042 --partition 3 --execute

All processes of the group must be stopped: brokers do not move a group that has members.")]
pub struct ResetArgs {
    /// The configuration, YAML
    config: PathBuf,
    /// What is moved; other pipelines of its group stay where they are
    #[arg(long)]
    pipeline: String,
    /// earliest, latest, an offset, a time in UTC (2026-01-31T12:00:00Z), or how long ago (90m-ago)
    #[arg(long)]
    to: Target,
    /// Only this partition; again for several
    #[arg(long = "partition", value_parser = clap::value_parser!(i32).range(0..))]
    partitions: Vec<i32>,
    /// Do it
    #[arg(long)]
    execute: bool,
}

/// A pipeline that is to be moved, and what that means.
struct Reset<'a> {
    place: &'a Place<'a>,
    bystander: Bystander,
    plan: Plan,
    consequences: Vec<String>,
    executes: bool,
}

pub fn reset(args: &ResetArgs, json: bool) -> Result<(), Failure> {
    let config = Arc::new(Config::read(&args.config)?);
    let brokers = brokers(&config);
    let chosen = pipelines(&config, Some(&args.pipeline))?;
    let ledgers = ledgers(&brokers, &chosen)?;
    let place = Place::of(&config, chosen[0], &ledgers)?;
    let bystander = Bystander::new(&brokers, place.pipeline.group.as_str())?;
    let plan = plan(args, &config, &place, &bystander)?;
    let consequences = consequences(&config, &place, &plan)?;
    if args.execute && !place.members.is_empty() {
        let text = format!("group {:?} has members: {}", place.pipeline.group.as_str(), named(&place.members));
        return Err(Failure::Running(format!("{text}\n\nhint: stop them; nothing was changed")));
    }
    let reset = Reset { place: &place, bystander, plan, consequences, executes: args.execute };
    if !json {
        print(&reset.lines())?;
    }
    if args.execute {
        block_on(reset.execute(&brokers))??;
        reset.look_again()?;
    }
    let done = if args.execute { "done" } else { "nothing was changed; --execute does it" };
    print(&[if json { reset.json().to_string() } else { done.to_owned() }])
}

impl Reset<'_> {
    fn lines(&self) -> Vec<String> {
        let Self { place, plan, .. } = self;
        let group = place.pipeline.group.as_str();
        let mut lines = vec![format!("pipeline {}: group {group}, topic {}", place.name, place.topic())];
        let titles = ["PARTITION", "COMMITTED", "LOG", "TO", "EPOCH", "WHAT"].map(String::from);
        let table: Vec<_> = std::iter::once(titles).chain(plan.moves.iter().map(Move::cells)).collect();
        if !plan.moves.is_empty() {
            lines.extend(aligned(&table));
        }
        lines.extend(plan.stay.iter().map(|partition| format!("{partition} is there already")));
        lines.extend(self.consequences.iter().map(|consequence| format!("- {consequence}")));
        if !self.executes && !place.members.is_empty() {
            lines.push(format!("- the group has members, which must be stopped first: {}", named(&place.members)));
        }
        lines
    }

    fn json(&self) -> Value {
        let Self { place, plan, consequences, executes, .. } = self;
        json!({
            "pipeline": place.name,
            "topic": place.topic(),
            "group": place.pipeline.group.as_str(),
            "members": place.members.iter().map(member_json).collect::<Vec<_>>(),
            "moves": plan.moves.iter().map(|one| one.json(place.name)).collect::<Vec<_>>(),
            "stay": plan.stay.iter().map(|partition| partition.number).collect::<Vec<_>>(),
            "consequences": consequences,
            "executed": executes,
        })
    }

    /// Each step is acknowledged before the next.
    async fn execute(&self, brokers: &Brokers) -> Result<(), Failure> {
        if self.plan.moves.is_empty() {
            return Ok(());
        }
        let publisher = Publisher::new(brokers)?;
        let (first, then): (Vec<_>, Vec<_>) = self.plan.moves.iter().partition(|one| one.raises_epoch());
        self.publish(&publisher, &first).await?;
        let positions: Vec<_> = self.plan.moves.iter().map(|one| (one.partition.number, one.group.clone())).collect();
        let set = tokio::task::block_in_place(|| self.bystander.set(self.place.topic(), &positions));
        set.map_err(|error| {
            let told = if first.is_empty() { "" } else { "; followers wait already: run this again" };
            Failure::Running(format!("{error}{told}"))
        })?;
        self.publish(&publisher, &then).await
    }

    async fn publish(&self, publisher: &Publisher, moves: &[&Move]) -> Result<(), Failure> {
        let Some(log) = &self.place.pipeline.commit_log else { return Ok(()) };
        let topic = log.topic.value.as_str().into();
        for record in moves.iter().filter_map(|one| one.record.as_ref()) {
            let published = publisher.publish(to_publish(record, &topic)).await;
            published.map_err(|error| Failure::Running(format!("failed to tell followers: {error}")))?;
        }
        Ok(())
    }

    /// Somebody may have joined, or moved the group as well.
    fn look_again(&self) -> Result<(), Failure> {
        let standings = self.bystander.standings(self.place.topic())?;
        for one in &self.plan.moves {
            let standing = standings.iter().find(|standing| standing.number == one.partition.number);
            let committed = standing.and_then(|standing| standing.committed.as_ref());
            if committed != Some(&one.group) {
                let at = committed.map_or("nowhere".to_owned(), |last| last.position.to_string());
                let text = format!("{} is at {at}, and not at {}", one.partition, one.group.position);
                return Err(Failure::Running(format!("somebody else has moved the group: {text}")));
            }
        }
        Ok(())
    }
}

fn plan(args: &ResetArgs, config: &Config, place: &Place<'_>, bystander: &Bystander) -> Result<Plan, Failure> {
    let all: Vec<i32> = place.standings.iter().map(|standing| standing.number).collect();
    let found = match args.to.time_ms() {
        Some(time_ms) => bystander.offsets_at(place.topic(), &all, time_ms)?,
        None => BTreeMap::new(),
    };
    let targets = Plan::targets(place, &args.partitions, args.to, &found).map_err(Failure::Usage)?;
    // Where there is no message before the position, the first one is as near as can be.
    let last: Vec<_> = targets
        .iter()
        .filter(|(_, has, _)| has.start < has.end)
        .map(|(number, has, to)| (*number, (to - 1).max(has.start)))
        .collect();
    let times = bystander.times(place.topic(), &last)?;
    let readers = config.readers();
    let sharing = readers.iter().find(|reader| reader.contains(&place.name));
    let sharing: Vec<String> = sharing.into_iter().flatten().map(|name| (*name).to_owned()).collect();
    Ok(Plan::of(place, &sharing, &targets, &times))
}

/// What it means, in sentences.
fn consequences(config: &Arc<Config>, place: &Place<'_>, plan: &Plan) -> Result<Vec<String>, Failure> {
    let mut consequences = Vec::new();
    let group = place.pipeline.group_in_commit_log();
    let again: i64 = plan.moves.iter().filter_map(Move::again).map(|range| range.end - range.start).sum();
    if again > 0 {
        consequences.push(format!(
            "{again} offset(s) are done again: replacements, rewrites and dead letters of these messages, too"
        ));
        consequences.extend(block_on(of_rows(config, place))?);
        consequences.push("remove these rows before the pipeline starts again where they must not be twice".into());
    }
    if plan.moves.iter().any(Move::raises_epoch) {
        consequences.push(format!(
            "followers of group {group} hold back what is behind the new positions until it is written again (a new epoch says so)"
        ));
    }
    for one in &plan.moves {
        if let Some(skipped) = one.skipped() {
            consequences.push(format!(
                "{} {skipped} is never written; followers take it as written, and `commit-log verify` names it as skipped",
                one.partition
            ));
        }
        for (other, position) in one.others(place.name) {
            consequences.push(format!(
                "pipeline {other} of the same group stays at {}@{position}; the group goes to {}",
                one.partition, one.group.position
            ));
        }
    }
    Ok(consequences)
}

/// What becomes of rows that are written once more.
async fn of_rows(config: &Arc<Config>, place: &Place<'_>) -> Vec<String> {
    let mut consequences = Vec::new();
    let loader = loader(config.clone());
    for storage in storages(place.pipeline) {
        let (cluster, table) = loader.table(storage);
        consequences.push(match Comparable::of(cluster, table).await {
            Ok(Comparable::ByOffset(table)) if table.keeps == Keeps::LastOfKey => {
                format!("storage {storage}: {} drops the older of two rows with the same key when it merges", table.engine)
            }
            Ok(Comparable::BySum { keeps: Keeps::LastOfKey, .. }) => {
                format!("storage {storage}: the table drops the older of two rows with the same key when it merges")
            }
            Ok(_) => format!(
                "storage {storage}: rows are there twice; deduplication windows know whole batches, and batches are cut anew"
            ),
            Err(error) => format!("storage {storage}: whether it keeps rows twice is not known: {error}"),
        });
    }
    consequences
}
