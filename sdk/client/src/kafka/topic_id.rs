//! The id of a topic, which tells it from an earlier topic of the same name. rust-rdkafka has no call for it, so this one
//! goes to librdkafka itself.

use std::ffi::{CStr, CString};
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka_sys as sys;

/// What brokers say that know of no ids.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// As Kafka prints it; none when the broker knows of no ids.
///
/// # Errors
/// Why it is not known, as text; also if the topic is not there.
pub(super) fn topic_id(client: &BaseConsumer, topic: &str, timeout: Duration) -> Result<Option<String>, String> {
    let broker = answering(client, topic, timeout).map_err(|error| error.to_string())?;
    let client = client.client().native_ptr();
    let topic = CString::new(topic).map_err(|error| error.to_string())?;
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client is alive; the event is asked for its results only while it lives, and everything that is made here
    // is destroyed here.
    unsafe {
        let queue = sys::rd_kafka_queue_new(client);
        let options =
            sys::rd_kafka_AdminOptions_new(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        let mut cause = [0; 256];
        sys::rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, cause.as_mut_ptr(), cause.len());
        sys::rd_kafka_AdminOptions_set_broker(options, broker, cause.as_mut_ptr(), cause.len());
        let topics = sys::rd_kafka_TopicCollection_of_topic_names([topic.as_ptr()].as_mut_ptr(), 1);
        sys::rd_kafka_DescribeTopics(client, topics, options, queue);
        let event = NonNull::new(sys::rd_kafka_queue_poll(queue, timeout_ms));
        let id = match event {
            Some(event) => described(event.as_ptr()),
            None => Err(format!("no answer within {timeout:?}")),
        };
        if let Some(event) = event {
            sys::rd_kafka_event_destroy(event.as_ptr());
        }
        sys::rd_kafka_TopicCollection_destroy(topics);
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_queue_destroy(queue);
        id
    }
}

/// A broker that is there. Without being told, librdkafka would wait for the controller, which any may be asked instead of.
fn answering(client: &BaseConsumer, topic: &str, timeout: Duration) -> KafkaResult<i32> {
    let metadata = client.fetch_metadata(Some(topic), timeout)?;
    let first = metadata.brokers().first().map_or(-1, |broker| broker.id());
    // It has no number as long as it is known by its address only.
    Ok(if metadata.orig_broker_id() >= 0 { metadata.orig_broker_id() } else { first })
}

/// # Safety
/// `event` must be a live event.
unsafe fn described(event: *mut sys::rd_kafka_event_t) -> Result<Option<String>, String> {
    use sys::rd_kafka_resp_err_t::{RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, RD_KAFKA_RESP_ERR_NO_ERROR};
    // SAFETY: by contract; every pointer belongs to the event and is looked at before it is followed.
    unsafe {
        match sys::rd_kafka_event_error(event) {
            RD_KAFKA_RESP_ERR_NO_ERROR => {}
            RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE => return Ok(None),
            code => return Err(RDKafkaErrorCode::from(code).to_string()),
        }
        let nothing = || "an answer without the topic".to_owned();
        let result = NonNull::new(sys::rd_kafka_event_DescribeTopics_result(event).cast_mut()).ok_or_else(nothing)?;
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result.as_ptr(), &raw mut count);
        if topics.is_null() || count == 0 {
            return Err(nothing());
        }
        let error = sys::rd_kafka_TopicDescription_error(*topics);
        let code = if error.is_null() { RD_KAFKA_RESP_ERR_NO_ERROR } else { sys::rd_kafka_error_code(error) };
        if code != RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(RDKafkaErrorCode::from(code).to_string());
        }
        let id = NonNull::new(sys::rd_kafka_TopicDescription_topic_id(*topics).cast_mut()).ok_or_else(nothing)?;
        let text = NonNull::new(sys::rd_kafka_Uuid_base64str(id.as_ptr()).cast_mut()).ok_or_else(nothing)?;
        let text = CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned();
        Ok(Some(text).filter(|text| text != NO_ID))
    }
}
