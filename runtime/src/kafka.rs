//! Kafka: one thread that owns the consumer, commits, and publishing. The only home of `rdkafka`.
//!
//! ```text
//! source     the poll thread: partition queues → MessageBatch, gated by credits
//! group      rebalances: positions resolved by us, drains before partitions go
//! committer  offset commits of what is written, for partitions still held
//! publisher  records with acknowledgement
//! tail       reading a topic without a group
//! ```

mod committer;
mod embedded;
mod group;
mod publisher;
mod queue;
mod source;
mod tail;
mod topics;

use std::collections::BTreeMap;
use std::time::Duration;

pub use committer::Committer;
pub use embedded::EmbeddedBroker;
pub use publisher::Publisher;
pub use source::{Source, Stopper};
pub use tail::{Tail, tail};
pub use topics::{TopicError, partitions};

use rdkafka::ClientConfig;

use crate::select::Select;

/// How to reach the brokers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Brokers {
    pub bootstrap: String,
    /// Properties of librdkafka; checked by the configuration.
    pub properties: BTreeMap<String, String>,
}

/// What to read, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub topic: String,
    pub group: String,
    pub start: Start,
    /// `None`: every message is read.
    pub select: Option<Select>,
    /// Bytes of messages read and not processed yet.
    pub read_ahead_bytes: usize,
    /// How long a revocation and a stop wait for what was read to be settled.
    pub drain_timeout: Duration,
}

/// Where a partition starts that the group has no position for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
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
        "{partition}@{position} is not in the topic any more; the messages from there on were deleted before they were read"
    )]
    OutOfRange { partition: String, position: i64 },
}

/// A payload of a call: fits a core's cache (docs/decisions/0002-packed-contract.md).
const BATCH_BYTES_MAX: usize = 256 << 10;
const BATCH_MESSAGES_MAX: usize = 4096;
/// Waits for answers of brokers outside of the way of a message.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

impl Brokers {
    fn config(&self, defaults: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("client.id", "tidegate");
        for (name, value) in defaults {
            config.set(*name, *value);
        }
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }
}
