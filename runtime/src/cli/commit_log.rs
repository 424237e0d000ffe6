//! `tidegate commit-log …`: the records of a commit log as they come (here), what they say, and whether that is true.

mod show;
mod verify;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use tidegate_commit_log::Counts;

use super::Failure;
use crate::commit_log::Record;
use crate::config::Config;
use crate::kafka::{Seen, Tail, tail};
use crate::start::brokers;

#[derive(Debug, Subcommand)]
pub enum CommitLogCommand {
    /// Print the records of a pipeline's commit log, to the end that is there now
    Tail(TailArgs),
    /// Print how far each group has written, and where its log, its positions and the topic disagree
    Show(show::ShowArgs),
    /// Add up what the log says, and compare it with the positions and with the rows in ClickHouse
    Verify(verify::VerifyArgs),
}

#[derive(Debug, Args)]
pub struct TailArgs {
    /// The configuration, YAML
    config: PathBuf,
    /// Whose commit log; needed where pipelines have several
    #[arg(long)]
    pipeline: Option<String>,
    /// Go on with records that come later
    #[arg(long)]
    follow: bool,
    /// Leave out the records that are there already
    #[arg(long, requires = "follow")]
    new: bool,
}

pub fn execute(command: &CommitLogCommand, json: bool) -> Result<(), Failure> {
    match command {
        CommitLogCommand::Tail(args) => tail_log(args, json),
        CommitLogCommand::Show(args) => show::show(args, json),
        CommitLogCommand::Verify(args) => verify::verify(args, json),
    }
}

fn tail_log(args: &TailArgs, json: bool) -> Result<(), Failure> {
    let config = Config::read(&args.config)?;
    let topic = topic(&config, args.pipeline.as_deref())?;
    let what = Tail { topic, from_beginning: !args.new, follow: args.follow };
    let mut unknown = 0;
    let done = tail(&brokers(&config), &what, |seen| {
        let Seen::Message { key, value, time, .. } = seen else { return true };
        match value.map(|value| Record::decode(key, value, time)) {
            Some(Ok(record)) => print(&record, json),
            Some(Err(_)) | None => {
                unknown += 1;
                true
            }
        }
    });
    if unknown > 0 {
        tracing::warn!(messages = unknown, "messages that are no commit-log records were passed over");
    }
    done.map_err(|error| Failure::Unreachable(error.to_string()))
}

/// False when nobody reads us any more.
fn print(record: &Record, json: bool) -> bool {
    let line = if json {
        format!("{{\"key\":{},\"value\":{}}}", serde_json::Value::from(record.key()), record.value())
    } else {
        let p99 = record.received_p99.map_or("-".to_owned(), |at| format!("{at:.3}"));
        let Record { topic, partition, group, offset, orig_message_ts, .. } = record;
        format!("{topic}/{partition}@{offset}  group {group}  message {orig_message_ts:.3}  received p99 {p99}")
    };
    writeln!(std::io::stdout(), "{line}").is_ok()
}

fn topic(config: &Config, pipeline: Option<&str>) -> Result<String, Failure> {
    let chosen = config.pipelines.value.iter().filter(|(name, _)| pipeline.is_none_or(|wanted| wanted == *name));
    let mut topics: Vec<_> = chosen.filter_map(|(_, p)| Some(p.commit_log.as_ref()?.topic.value.0.clone())).collect();
    topics.sort();
    topics.dedup();
    match topics.as_slice() {
        [topic] => Ok(topic.clone()),
        [] => Err(Failure::Usage("there is no such pipeline with a commit log".into())),
        _ => Err(Failure::Usage(format!("several commit logs ({}); choose by --pipeline", topics.join(", ")))),
    }
}

/// `5 message(s): 4 inserted (4 rows: errors 4), 1 skipped`; outcomes without messages are left out.
fn counted(counts: &Counts) -> String {
    let storages: Vec<_> = counts.storages.iter().map(|(storage, rows)| format!("{storage} {rows}")).collect();
    let by_storage = if storages.is_empty() { String::new() } else { format!(": {}", storages.join(", ")) };
    let others = [
        ("skipped", counts.skipped),
        ("unselected", counts.unselected),
        ("replacements", counts.replacements),
        ("rewrites", counts.rewrites),
        ("dead letters", counts.dead_letters),
    ];
    let others = others.iter().filter(|(_, count)| *count > 0).map(|(outcome, count)| format!(", {count} {outcome}"));
    let Counts { messages, inserted, rows, .. } = counts;
    format!("{messages} message(s): {inserted} inserted ({rows} rows{by_storage}){}", others.collect::<String>())
}
