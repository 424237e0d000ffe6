//! `tidegate commit-log tail`: the records of a commit log, as they come.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Failure;
use crate::commit_log::Record;
use crate::config::Config;
use crate::kafka::{Seen, Tail, tail};
use crate::start::brokers;

#[derive(Debug, Subcommand)]
pub enum CommitLogCommand {
    /// Print the records of a pipeline's commit log, to the end that is there now
    Tail(TailArgs),
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
    let CommitLogCommand::Tail(args) = command;
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
