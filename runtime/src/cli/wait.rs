//! `tidegate wait`: until messages are written, as a step of a script.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use tidegate_client::{Partition, Token};

use super::{Failure, block_on};
use crate::config::{Config, Duration};
use crate::kafka::{CommitLogs, WaitFailed};
use crate::start::brokers;
use crate::wait::Waits;

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
    let waits = Waits::of(&config, CommitLogs::new(brokers(&config)));
    let wait = waits.resolve(args.token(), &args.groups, args.timeout.0);
    let wait = wait.map_err(|nobody| Failure::Usage(nobody.to_string()))?;
    let started = Instant::now();
    let done = block_on(waits.wait(&wait))?;
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
                Token::of_message(Partition::new(topic.as_str(), partition), offset)
            }
            (token, ..) => token.clone().expect("clap wants a token where there is no offset with topic and partition"),
        }
    }
}
