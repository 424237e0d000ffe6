//! Kafka around the machines: reading the commit log, answering their questions, and the synchronized consumer. The only
//! place that knows librdkafka.

mod asker;
mod commit_log;
mod log_reader;
mod membership;
mod shared;
mod synchronized;
mod topic_id;
mod wake;

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use tidegate_commit_log::Partition;

pub use commit_log::{CommitLog, LogReadError, LogSettings, LogStatus, TopicIdError, WaitError, WaitFor};
pub use synchronized::{SynchronizedConsumer, SynchronizedSettings};

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is nothing to read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to make a Kafka client for {what}: {cause}")]
    Client { what: String, cause: rdkafka::error::KafkaError },
    #[error("failed to start a thread for commit log {topic:?}: {cause}")]
    Thread { topic: String, cause: std::io::Error },
    #[error("no group is followed\nhint: name the consumer groups that write what is to be read")]
    NoGroups,
    /// The consumer goes on where it can; poll again.
    #[error("failed to read: {0}")]
    Read(rdkafka::error::KafkaError),
    /// What came so cannot be held back. It is not lost for a consumer that starts again.
    #[error("{partition}@{offset} came by the queue of all partitions")]
    Unordered { partition: Partition, offset: i64 },
}

/// The id of the topic that has this name now, as Kafka prints it; none if the broker knows of no ids. Blocks.
///
/// # Errors
/// Why it is not known; also if `kafka` is not valid, or the topic is not there.
pub fn topic_id(kafka: &ClientConfig, topic: &str) -> Result<Option<String>, TopicIdError> {
    let failed = |cause| TopicIdError { topic: topic.to_owned(), cause };
    let client: BaseConsumer =
        observer(kafka, log_reader::GROUP).create().map_err(|error| failed(error.to_string()))?;
    let id = topic_id::topic_id(&client, topic, REQUEST_TIMEOUT);
    id.map_err(failed)
}

/// The user's connection, for a client that is a member of no group. What is not ours to decide is kept.
fn observer(kafka: &ClientConfig, group: &str) -> ClientConfig {
    let mut config = kafka.clone();
    for name in ["group.protocol", "group.remote.assignor", "group.instance.id", "enable.auto.offset.store"] {
        config.remove(name);
    }
    config.set("group.id", group).set("enable.auto.commit", "false").set("allow.auto.create.topics", "false");
    config
}
