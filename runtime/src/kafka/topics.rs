//! Questions about topics.

use std::ffi::CString;

use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka_sys as sys;

use super::{Brokers, REQUEST_TIMEOUT, Role};

/// Why a topic cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TopicError {
    #[error("failed to reach the brokers at {brokers}: {cause}")]
    Unreachable { brokers: String, cause: String },
    #[error("there is no topic {topic:?}")]
    Unknown { topic: String },
}

/// Number of partitions of each topic. Blocks.
///
/// # Errors
/// One for each topic that is not there; one for all if no broker answers.
pub fn partitions(brokers: &Brokers, topics: &[String]) -> Vec<Result<usize, TopicError>> {
    let unreachable = |cause: String| TopicError::Unreachable { brokers: brokers.bootstrap.clone(), cause };
    let consumer: BaseConsumer = match brokers.config(Role::Consumer, &[("allow.auto.create.topics", "false")]).create()
    {
        Ok(consumer) => consumer,
        Err(error) => return vec![Err(unreachable(error.to_string())); topics.len()],
    };
    let ask = |topic: &String| {
        let metadata = consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT / 3);
        let metadata = metadata.map_err(|error| unreachable(error.to_string()))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let unknown = Err(TopicError::Unknown { topic: topic.clone() });
        let Some(found) = found else { return unknown };
        match found.error() {
            Some(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => unknown,
            Some(code) => Err(unreachable(format!("topic {topic:?}: {}", RDKafkaErrorCode::from(code)))),
            None if found.partitions().is_empty() => unknown,
            None => Ok(found.partitions().len()),
        }
    };
    topics.iter().map(ask).collect()
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
