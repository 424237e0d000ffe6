//! `tidegate wait`: until messages are written, as a step of a script.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use tidegate_client::{Partition, Token};

use super::{Failure, block_on};
use crate::config::{self, Config, Duration};
use crate::kafka::{self, Wait, WaitFailed};
use crate::start::brokers;

/// Returns when the groups have written everything up to a message: its rows can be read then.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate wait pipeline.yaml --topic events --partition 3 --offset 1042 --timeout 10s")]
pub struct WaitArgs {
    /// The configuration, YAML
    config: PathBuf,
    /// What to wait for: TOPIC/PARTITION@POSITION, the offset after the last message that must be written
    #[arg(long, conflicts_with_all = ["topic", "partition", "offset"], required_unless_present = "offset")]
    token: Option<Token>,
    /// The message's topic
    #[arg(long, requires = "offset")]
    topic: Option<String>,
    /// Its partition
    #[arg(long, requires = "offset", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Its offset
    #[arg(long, requires_all = ["topic", "partition"], value_parser = clap::value_parser!(i64).range(0..))]
    offset: Option<i64>,
    /// Who must have written it, by the names in the commit log; again for several. All that read the topic by default
    #[arg(long = "group")]
    groups: Vec<String>,
    /// How long to wait
    #[arg(long, default_value = "30s")]
    timeout: Duration,
}

pub fn wait(args: &WaitArgs, json: bool) -> Result<(), Failure> {
    let config = Config::read(&args.config)?;
    let wait = args.resolve(&config)?;
    let started = Instant::now();
    let done = block_on(kafka::wait(&brokers(&config), &wait))?;
    done.map_err(|failed| match failed {
        WaitFailed::Client(_) => Failure::Usage(failed.to_string()),
        WaitFailed::Unreadable { .. } => Failure::Unreachable(failed.to_string()),
        WaitFailed::NotWritten(_) => Failure::Running(failed.to_string()),
    })?;
    let (token, groups, seconds) = (wait.token.to_string(), &wait.groups, started.elapsed().as_secs_f64());
    if json {
        println!("{}", serde_json::json!({ "token": token, "groups": groups, "seconds": seconds }));
    } else {
        println!("{token} is written by {} ({seconds:.1} s)", groups.join(", "));
    }
    Ok(())
}

impl WaitArgs {
    fn token(&self) -> Token {
        match (&self.token, &self.topic, self.partition, self.offset) {
            (None, Some(topic), Some(partition), Some(offset)) => {
                Token::of_message(Partition::new(topic, partition), offset)
            }
            (token, ..) => token.clone().expect("clap wants a token where there is no offset with topic and partition"),
        }
    }

    /// Groups and commit log are those of the pipelines that read the topic.
    fn resolve(&self, config: &Config) -> Result<Wait, Failure> {
        let token = self.token();
        let topic = &*token.partition.topic;
        let with_log =
            |pipeline: &&config::Pipeline| pipeline.topic.value.as_str() == topic && pipeline.commit_log.is_some();
        let readers: Vec<_> = config.pipelines.value.values().filter(with_log).collect();
        let known: Vec<&str> = readers.iter().map(|pipeline| pipeline.group_in_commit_log()).collect();
        if known.is_empty() {
            return Err(Failure::Usage(format!("no pipeline with a commit log reads topic {topic:?}")));
        }
        if let Some(group) = self.groups.iter().find(|group| !known.contains(&group.as_str())) {
            let text = format!("no pipeline writes records of group {group:?} for topic {topic:?}");
            return Err(Failure::Usage(format!("{text}\n\nhint: those that do are of {}", known.join(", "))));
        }
        let wanted = |pipeline: &&&config::Pipeline| {
            self.groups.is_empty() || self.groups.iter().any(|group| group == pipeline.group_in_commit_log())
        };
        let waited: Vec<_> = readers.iter().filter(wanted).collect();
        let mut logs: Vec<&str> =
            waited.iter().filter_map(|p| Some(p.commit_log.as_ref()?.topic.value.as_str())).collect();
        logs.sort_unstable();
        logs.dedup();
        let [commit_log] = logs[..] else {
            let text = format!("records for topic {topic:?} are in several commit logs ({})", logs.join(", "));
            return Err(Failure::Usage(format!("{text}\n\nhint: choose by --group: {}", known.join(", "))));
        };
        Ok(Wait {
            commit_log: commit_log.to_owned(),
            groups: waited.iter().map(|pipeline| pipeline.group_in_commit_log().to_owned()).collect(),
            may_be_asked: waited.iter().all(|pipeline| pipeline.group_in_commit_log() == pipeline.group.as_str()),
            timeout: self.timeout.0,
            token,
        })
    }
}
