//! Kafka: one thread that owns the consumer, commits, and publishing. The only home of `rdkafka`.
//!
//! ```text
//! source     the poll thread: its queue → MessageBatch, gated by credits
//! queue      what librdkafka has read of all partitions held
//! group      rebalances: positions resolved by us, drains before partitions go
//! notes      what committed offsets carry beside them
//! out_of_range  positions that are not in the topic any more
//! committer  offset commits of what is written, for partitions still held
//! publisher  records with acknowledgement
//! tail       reading a topic without a group
//! sight      what can be seen of brokers, topics and groups
//! bystander  where a group is, and moving it, without joining it
//! admin      requests that rust-rdkafka has no call for
//! wait       waiting for what groups have written
//! recall     what the commit logs that are written here say already
//! trouble    what goes wrong with the brokers, and the property to mend
//! ```

mod admin;
mod bystander;
mod committer;
mod embedded;
mod group;
mod notes;
mod out_of_range;
mod properties;
mod publisher;
mod queue;
mod recall;
pub mod sight;
mod source;
mod tail;
#[cfg(test)]
mod tests;
mod topics;
mod trouble;
mod wait;

use std::collections::BTreeMap;
use std::time::Duration;

use properties::Role;

pub use admin::Member;
pub use bystander::{Bystander, BystanderError, Standing};
pub use committer::Committer;
pub use embedded::EmbeddedBroker;
pub use properties::refusal;
pub use publisher::Publisher;
pub use source::{Source, Stopper};
pub use tail::{Seen, Tail, tail};
pub use topics::{TopicError, create_compacted, partitions, topic_id};
pub use wait::{CommitLogs, Wait, WaitFailed};

use rdkafka::ClientConfig;

use crate::metrics::PipelineMetrics;
use crate::offset::{Partition, Range};
use crate::secret::Secret;
use crate::select::Select;
use crate::status::PipelineStatus;

/// How to reach the brokers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Brokers {
    pub bootstrap: String,
    /// Properties of librdkafka; checked by the configuration. Any may be a secret.
    pub properties: BTreeMap<String, Secret>,
}

/// What to read, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub topic: String,
    pub group: String,
    /// The pipelines of the group that run here.
    pub pipelines: Vec<String>,
    /// Where a partition starts that the group has no position for.
    pub start: Reset,
    /// Where reading goes on when a position is not in the topic any more.
    pub out_of_range: Reset,
    /// `None`: every message is read.
    pub select: Option<Select>,
    /// Bytes of messages read and not processed yet.
    pub read_ahead_bytes: usize,
    /// How long a revocation and a stop wait for what was read to be settled.
    pub drain_timeout: Duration,
}

/// Who hears of what happens to a source: the pipelines that it feeds.
pub struct Observers(pub Vec<(PipelineMetrics, PipelineStatus)>);

impl Observers {
    fn tell(&self, tell: impl Fn(&PipelineMetrics, &PipelineStatus)) {
        self.0.iter().for_each(|(metrics, status)| tell(metrics, status));
    }
}

/// Where to read when there is no position to read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    Earliest,
    Latest,
    /// Nowhere: the pipeline stops, and somebody has to decide.
    Error,
}

/// Why reading ended.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("failed to create a Kafka client: {0}")]
    Client(String),
    #[error("failed to read topic {topic:?}: {cause}")]
    Read { topic: String, cause: String },
    #[error("{partition} has no committed position in group {group:?}, and `start: error` is configured")]
    NoPosition { partition: String, group: String },
    #[error(
        "failed to read {partition}@{position}: the topic has {has} there, {}\n\n\
         hint: `out_of_range: earliest` goes on at {}, `out_of_range: latest` at {}; or move the pipelines of group \
         {group:?} with `tidegate offsets reset`",
        out_of_range::what_happened(*position, *has), has.start, has.end
    )]
    OutOfRange { partition: Partition, group: String, position: i64, has: Range },
}

/// A payload of a call: fits a core's cache (docs/decisions/0002-packed-contract.md).
const BATCH_BYTES_MAX: usize = 256 << 10;
const BATCH_MESSAGES_MAX: usize = 4096;
/// Waits for answers of brokers outside of the way of a message.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

impl Brokers {
    fn config(&self, role: Role, defaults: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("client.id", "tidegate");
        for (name, value) in defaults {
            config.set(*name, *value);
        }
        // The paths of the OpenSSL that is built in are nobody's: look where systems keep their certificates.
        if self.properties.get("security.protocol").is_some_and(|protocol| protocol.expose().contains("ssl")) {
            config.set("ssl.ca.location", "probe");
        }
        for (name, value) in self.properties.iter().filter(|(name, _)| role.takes(name)) {
            config.set(name, value.expose());
        }
        config
    }
}

#[cfg(test)]
mod property_tests {
    use super::*;

    #[test]
    fn each_client_gets_what_is_for_it_and_nobody_prints_it() {
        let properties = ["session.timeout.ms", "linger.ms", "message.max.bytes", "sasl.password"];
        let properties = properties.map(|name| (name.to_owned(), Secret::new("hunter2")));
        let brokers = Brokers { bootstrap: "kafka:9092".into(), properties: properties.into() };
        let (consumer, producer) = (brokers.config(Role::Consumer, &[]), brokers.config(Role::Producer, &[]));
        let has = |config: &ClientConfig| {
            ["session.timeout.ms", "linger.ms", "message.max.bytes", "sasl.password"].map(|n| config.get(n).is_some())
        };
        assert_eq!(has(&consumer), [true, false, false, true]);
        assert_eq!(has(&producer), [false, true, true, true]);
        assert!(!format!("{brokers:?}").contains("hunter2"));
    }
}
