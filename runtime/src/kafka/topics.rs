//! Questions about topics.

use std::ffi::CString;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka_sys as sys;

use super::trouble::Trouble;
use super::{Brokers, REQUEST_TIMEOUT, Role};

/// Why a topic cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TopicError {
    #[error("failed to reach the brokers at {brokers}: {cause}")]
    Unreachable { brokers: String, cause: String },
    #[error("there is no topic {topic:?}")]
    Unknown { topic: String },
}

/// How long a client is listened to that could not do what it was asked to.
const TELLING: Duration = Duration::from_millis(300);

/// Number of partitions of each topic. Blocks.
///
/// # Errors
/// One for each topic that is not there; one for all if no broker answers.
pub fn partitions(brokers: &Brokers, topics: &[String]) -> Vec<Result<usize, TopicError>> {
    let unreachable = |cause: String| {
        let error = TopicError::Unreachable { brokers: brokers.bootstrap.clone(), cause };
        vec![Err(error); topics.len()]
    };
    let config = brokers.config(Role::Consumer, &[("allow.auto.create.topics", "false")]);
    let consumer: BaseConsumer<Trouble> = match config.create_with_context(Trouble::new(brokers)) {
        Ok(consumer) => consumer,
        Err(error) => return unreachable(error.to_string()),
    };
    let mut counts = Vec::new();
    for topic in topics {
        match consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT / 3) {
            Ok(metadata) => counts.push(count(&metadata, topic, &brokers.bootstrap)),
            Err(error) => return unreachable(cause(&consumer, &error)),
        }
    }
    counts
}

/// Why a client could not do what it was asked to: what went wrong meanwhile waits to be told.
pub(super) fn cause(consumer: &BaseConsumer<Trouble>, error: &KafkaError) -> String {
    let started = Instant::now();
    while started.elapsed() < TELLING {
        drop(consumer.poll(TELLING / 10));
    }
    consumer.context().last().unwrap_or_else(|| error.to_string())
}

fn count(metadata: &Metadata, topic: &str, brokers: &str) -> Result<usize, TopicError> {
    let unknown = Err(TopicError::Unknown { topic: topic.to_owned() });
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return unknown };
    match found.error() {
        Some(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => unknown,
        Some(code) => {
            let cause = format!("topic {topic:?}: {}", RDKafkaErrorCode::from(code));
            Err(TopicError::Unreachable { brokers: brokers.to_owned(), cause })
        }
        None if found.partitions().is_empty() => unknown,
        None => Ok(found.partitions().len()),
    }
}

/// The id of the topic that has this name now; none when the broker knows of no ids. Blocks.
///
/// # Errors
/// Why it is not known.
pub fn topic_id(brokers: &Brokers, topic: &str) -> Result<Option<String>, TopicError> {
    let id = tidegate_client::topic_id(&brokers.config(Role::Consumer, &[]), topic);
    id.map_err(|error| TopicError::Unreachable { brokers: brokers.bootstrap.clone(), cause: error.to_string() })
}

/// Makes a compacted topic of one partition, unless it is there.
///
/// # Errors
/// If no broker answers, or it refuses.
pub async fn create_compacted(brokers: &Brokers, topic: &str) -> Result<(), TopicError> {
    let failed = |cause: String| TopicError::Unreachable { brokers: brokers.bootstrap.clone(), cause };
    // Who may not make topics may still use one that is there.
    let (asking, asked) = (brokers.clone(), vec![topic.to_owned()]);
    let found = tokio::task::spawn_blocking(move || partitions(&asking, &asked).remove(0)).await;
    match found.map_err(|error| failed(error.to_string()))? {
        Ok(_) => return Ok(()),
        Err(TopicError::Unknown { .. }) => {}
        Err(error) => return Err(error),
    }
    let admin: AdminClient<DefaultClientContext> =
        brokers.config(Role::Producer, &[]).create().map_err(|error| failed(error.to_string()))?;
    // The cluster's own replication factor.
    let new = NewTopic::new(topic, 1, TopicReplication::Fixed(-1)).set("cleanup.policy", "compact");
    let made = admin.create_topics([&new], &AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT))).await;
    match made.map_err(|error| failed(error.to_string()))?.remove(0) {
        Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
        Err((_, code)) => Err(failed(format!("topic {topic:?} is not there and cannot be made: {code}"))),
    }
}

/// The partition's end as the last fetch told it; no question is asked.
pub(super) fn cached_end<C: ClientContext + ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> Option<i64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    let client = consumer.client().native_ptr();
    // SAFETY: the client is alive, the name ends with a zero byte, and both results have a place.
    let code = unsafe { sys::rd_kafka_get_watermark_offsets(client, topic.as_ptr(), partition, &mut low, &mut high) };
    (code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(high)
}
