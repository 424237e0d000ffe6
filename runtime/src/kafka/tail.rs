//! Reading a topic without a group: for looking at a commit log.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::{Brokers, Error, REQUEST_TIMEOUT, Role};

/// What to read.
#[derive(Clone, Debug, PartialEq)]
pub struct Tail {
    pub topic: String,
    /// From the beginning, or only what comes.
    pub from_beginning: bool,
    /// Go on after the end that was there at the start.
    pub follow: bool,
}

/// What there is to be seen of a topic.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    Message {
        partition: i32,
        offset: i64,
        /// Milliseconds since 1970; none when the broker does not say.
        timestamp_ms: Option<i64>,
        key: &'a [u8],
        value: Option<&'a [u8]>,
        /// Header `orig_message_ts`.
        time: Option<&'a [u8]>,
    },
    /// Once: everything that was there at the start has been shown.
    CaughtUp,
    /// There was nothing for a while.
    Nothing,
}

/// Shows every message of the topic until `show` says false, or to the end that was there at the start. Blocks; commits
/// nothing.
///
/// # Errors
/// If the topic cannot be read.
pub fn tail(brokers: &Brokers, tail: &Tail, mut show: impl FnMut(Seen<'_>) -> bool) -> Result<(), Error> {
    let failed = |cause: String| Error::Read { topic: tail.topic.clone(), cause };
    let mut config = brokers.config(Role::Consumer, &[]);
    // A group is needed to be made, not to be joined.
    config.set("group.id", "tidegate-tail").set("enable.auto.commit", "false").set("enable.partition.eof", "false");
    let consumer: BaseConsumer = config.create().map_err(|error| failed(error.to_string()))?;
    let mut ends = Vec::new();
    let mut list = TopicPartitionList::new();
    let count = super::partitions(brokers, std::slice::from_ref(&tail.topic)).remove(0);
    for number in 0..count.map_err(|error| failed(error.to_string()))? as i32 {
        let watermarks = consumer.fetch_watermarks(&tail.topic, number, REQUEST_TIMEOUT);
        let (low, high) = watermarks.map_err(|error| failed(error.to_string()))?;
        let from = if tail.from_beginning { low } else { high };
        let added = list.add_partition_offset(&tail.topic, number, Offset::Offset(from));
        added.map_err(|error| failed(error.to_string()))?;
        ends.push((number, from, high));
    }
    consumer.assign(&list).map_err(|error| failed(error.to_string()))?;
    let mut caught_up = false;
    loop {
        if !caught_up && ends.iter().all(|(_, at, end)| at >= end) {
            caught_up = true;
            if !show(Seen::CaughtUp) || !tail.follow {
                return Ok(());
            }
        }
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                let headers = message.headers();
                let time =
                    headers.and_then(|all| all.iter().find(|h| h.key == "orig_message_ts").and_then(|h| h.value));
                let key = message.key().unwrap_or_default();
                let seen = Seen::Message {
                    partition: message.partition(),
                    offset: message.offset(),
                    timestamp_ms: message.timestamp().to_millis(),
                    key,
                    value: message.payload(),
                    time,
                };
                if !show(seen) {
                    return Ok(());
                }
                if let Some((_, at, _)) = ends.iter_mut().find(|(number, ..)| *number == message.partition()) {
                    *at = message.offset() + 1;
                }
            }
            Some(Err(error)) => tracing::warn!(%error, topic = tail.topic, "reading a topic"),
            None => {
                advance_over_holes(&consumer, &tail.topic, &mut ends);
                if !show(Seen::Nothing) {
                    return Ok(());
                }
            }
        }
    }
}

/// Compaction and transaction markers leave offsets without messages at the end.
fn advance_over_holes(consumer: &BaseConsumer, topic: &str, ends: &mut [(i32, i64, i64)]) {
    let Ok(positions) = consumer.position() else { return };
    for (number, at, _) in ends {
        if let Some(Offset::Offset(position)) = positions.find_partition(topic, *number).map(|found| found.offset()) {
            *at = (*at).max(position);
        }
    }
}
