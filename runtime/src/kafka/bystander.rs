//! Where a group is in a topic, who its members are, and moving it: asked and done without joining it. Everything here
//! blocks.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::admin::{self, Member};
use super::notes::{self, last_commits};
use super::topics::TopicError;
use super::trouble::Trouble;
use super::{Brokers, REQUEST_TIMEOUT, Role};
use crate::offset::Range;
use crate::source::LastCommit;

/// A client of a group that never becomes its member.
pub struct Bystander {
    brokers: Brokers,
    group: String,
    consumer: BaseConsumer<Trouble>,
}

/// Where a group is in one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    pub number: i32,
    /// What the topic has.
    pub has: Range,
    /// None while the group has committed nothing. Where another client did, the note is an empty one.
    pub committed: Option<LastCommit>,
}

/// Why nothing was learnt, or done.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BystanderError {
    #[error("failed to make a Kafka client for group {group:?}: {cause}")]
    Client { group: String, cause: String },
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error("failed to ask about group {group:?} in topic {topic:?}: {cause}")]
    Ask { group: String, topic: String, cause: String },
    #[error("failed to ask for the members of group {group:?}: {cause}")]
    Members { group: String, cause: String },
    #[error(
        "failed to move group {group:?}: {cause}\n\nhint: brokers refuse this while the group has members; stop them"
    )]
    Move { group: String, cause: String },
}

const COORDINATOR_TIMEOUT: Duration = Duration::from_secs(10);
/// A message is read within this, or it is not told when it was written.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

impl Bystander {
    /// # Errors
    /// If no client can be made of these settings.
    pub fn new(brokers: &Brokers, group: &str) -> Result<Self, BystanderError> {
        let mut config = brokers.config(Role::Consumer, &[("allow.auto.create.topics", "false")]);
        for name in ["group.protocol", "group.remote.assignor", "group.instance.id"] {
            config.remove(name);
        }
        // Of each partition one message is looked at.
        config.set("group.id", group).set("enable.auto.commit", "false").set("queued.min.messages", "1");
        config.set("auto.offset.reset", "earliest");
        let made = config.create_with_context(Trouble::new(brokers));
        let failed = |error: KafkaError| BystanderError::Client { group: group.to_owned(), cause: error.to_string() };
        Ok(Self { brokers: brokers.clone(), group: group.to_owned(), consumer: made.map_err(failed)? })
    }

    /// Of every partition of the topic, in their order.
    ///
    /// # Errors
    /// If there is no such topic, or no broker answers.
    pub fn standings(&self, topic: &str) -> Result<Vec<Standing>, BystanderError> {
        let failed = |error: KafkaError| self.failed(topic, &error);
        let count = super::partitions(&self.brokers, &[topic.to_owned()]).remove(0)?;
        let mut asked = TopicPartitionList::new();
        for number in 0..count as i32 {
            asked.add_partition(topic, number);
        }
        let committed = settled(|| self.consumer.committed_offsets(asked.clone(), REQUEST_TIMEOUT)).map_err(failed)?;
        let standing = |(number, committed): (i32, Option<LastCommit>)| {
            let watermarks = self.consumer.fetch_watermarks(topic, number, REQUEST_TIMEOUT);
            let (low, end) = watermarks.map_err(failed)?;
            Ok(Standing { number, has: Range::new(low, end), committed })
        };
        last_commits(&committed).map_err(failed)?.into_iter().map(standing).collect()
    }

    /// # Errors
    /// If the group's coordinator does not answer.
    pub fn members(&self) -> Result<Vec<Member>, BystanderError> {
        // SAFETY: the client lives as long as the consumer.
        let members = unsafe { admin::members(self.consumer.client().native_ptr(), &self.group) };
        members.map_err(|cause| BystanderError::Members { group: self.group.clone(), cause })
    }

    /// The first offset of each partition whose message is as late, milliseconds since 1970; none where there is none yet.
    ///
    /// # Errors
    /// If no broker answers.
    pub fn offsets_at(
        &self,
        topic: &str,
        partitions: &[i32],
        timestamp_ms: i64,
    ) -> Result<BTreeMap<i32, Option<i64>>, BystanderError> {
        let failed = |error: KafkaError| self.failed(topic, &error);
        let mut asked = TopicPartitionList::new();
        for number in partitions {
            asked.add_partition_offset(topic, *number, Offset::Offset(timestamp_ms)).map_err(failed)?;
        }
        let found = self.consumer.offsets_for_times(asked, REQUEST_TIMEOUT).map_err(failed)?;
        let offset = |element: TopicPartitionListElem<'_>| {
            element.error().map_err(failed)?;
            let offset = match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            };
            Ok((element.partition(), offset))
        };
        found.elements().into_iter().map(offset).collect()
    }

    /// When the messages at these offsets, or the first behind them, were written: milliseconds since 1970, by partition.
    /// What cannot be read in time is left out.
    ///
    /// # Errors
    /// If the topic cannot be read.
    pub fn times(&self, topic: &str, offsets: &[(i32, i64)]) -> Result<BTreeMap<i32, i64>, BystanderError> {
        let failed = |error: KafkaError| self.failed(topic, &error);
        let (mut list, mut times, started) = (TopicPartitionList::new(), BTreeMap::new(), Instant::now());
        if offsets.is_empty() {
            return Ok(times);
        }
        for (number, offset) in offsets {
            list.add_partition_offset(topic, *number, Offset::Offset(*offset)).map_err(failed)?;
        }
        self.consumer.assign(&list).map_err(failed)?;
        while times.len() < offsets.len() && started.elapsed() < READ_TIMEOUT {
            if let Some(Ok(message)) = self.consumer.poll(Duration::from_millis(100)) {
                times.entry(message.partition()).or_insert(message.timestamp().to_millis().unwrap_or(0));
            }
        }
        self.consumer.unassign().map_err(failed)?;
        Ok(times)
    }

    /// Sets the positions of a group without members, with their notes.
    ///
    /// # Errors
    /// If the group has members, or no broker answers; what was done then is not known.
    pub fn set(&self, topic: &str, positions: &[(i32, LastCommit)]) -> Result<(), BystanderError> {
        let failed = |error: KafkaError| BystanderError::Move { group: self.group.clone(), cause: error.to_string() };
        let mut list = TopicPartitionList::new();
        for (number, LastCommit { position, note }) in positions {
            notes::add(&mut list, topic, *number, *position, note).map_err(failed)?;
        }
        self.consumer.commit(&list, CommitMode::Sync).map_err(failed)
    }

    fn failed(&self, topic: &str, error: &KafkaError) -> BystanderError {
        let (group, topic) = (self.group.clone(), topic.to_owned());
        BystanderError::Ask { group, topic, cause: self.consumer.context().last().unwrap_or_else(|| error.to_string()) }
    }
}

/// A group's coordinator may be moving, or coming to life.
fn settled<T>(ask: impl Fn() -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    use RDKafkaErrorCode::{CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator};
    let started = Instant::now();
    loop {
        let answer = ask();
        let code = answer.as_ref().err().and_then(KafkaError::rdkafka_error_code);
        let is_moving = matches!(code, Some(CoordinatorLoadInProgress | CoordinatorNotAvailable | NotCoordinator));
        if !is_moving || started.elapsed() > COORDINATOR_TIMEOUT {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
