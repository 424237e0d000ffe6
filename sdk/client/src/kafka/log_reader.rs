//! Reads all partitions of the commit log from their beginning, for ever, in a thread of its own. No group is joined and
//! nothing is committed: every reader reads it all, which compaction keeps short.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};
use tidegate_commit_log::{Key, Record};

use super::shared::{CatchingUp, Shared};
use super::{Error, REQUEST_TIMEOUT, observer};
use crate::gate::Fact;

/// librdkafka wants a name to assign partitions; it is never joined, nothing is committed under it.
pub(super) const GROUP: &str = "tidegate-commit-log-reader";

/// How long a partition that is not there waits to be looked for again, and the longest that the thread sleeps while
/// somebody waits for it to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) struct LogReader {
    consumer: BaseConsumer<Callbacks>,
    topic: String,
    shared: Arc<Shared>,
    /// How often partitions and topics are looked at.
    refresh: Duration,
    partitions: usize,
    catching_up: Vec<CatchUp>,
}

/// Errors come by `poll` as well, which tells them; and the end of a partition, which comes again behind every record, is none.
struct Callbacks;

impl ClientContext for Callbacks {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client of a commit log");
    }
}

impl ConsumerContext for Callbacks {}

/// Somebody waits until the log is read to the end that it has now.
struct CatchUp {
    /// Partitions whose end has not been reached since.
    open: BTreeSet<i32>,
    answer: CatchingUp,
}

impl LogReader {
    pub(super) fn new(
        kafka: &ClientConfig,
        topic: &str,
        refresh: Duration,
        shared: Arc<Shared>,
    ) -> Result<Self, Error> {
        let mut config = observer(kafka, GROUP);
        // The end of a partition is an event, so that holes of compaction do not hide it. Where a consumer of messages
        // begins is the user's choice; a commit log is always read whole.
        config.set("enable.partition.eof", "true").set("auto.offset.reset", "earliest");
        let failed = |cause| Error::Client { what: format!("commit log {topic:?}"), cause };
        let consumer = config.create_with_context(Callbacks).map_err(failed)?;
        Ok(Self { consumer, topic: topic.to_owned(), shared, refresh, partitions: 0, catching_up: Vec::new() })
    }

    /// Until the handles are gone.
    pub(super) fn run(mut self) {
        let mut looked: Option<Instant> = None;
        while !self.shared.is_ending() {
            let pause = if self.partitions == 0 { LOOK_EVERY } else { self.refresh };
            if looked.is_none_or(|at| at.elapsed() >= pause) {
                self.look();
                looked = Some(Instant::now());
            }
            self.begin_to_catch_up();
            match self.consumer.poll(self.shared.until_deadline().min(LOOK_EVERY)) {
                Some(Ok(message)) => self.message(&message),
                Some(Err(KafkaError::PartitionEOF(number))) => self.ended(number),
                Some(Err(error)) => {
                    tracing::warn!(topic = self.topic, %error, "reading the commit log failed, going on");
                    self.shared.failed(&error);
                }
                None => {}
            }
            self.shared.tick();
        }
    }

    /// Notices partitions that were added, and a log that is made only now.
    fn look(&mut self) {
        match self.count() {
            Ok(count) if count != self.partitions => {
                self.shared.learn(&Fact::LogPartitions(count as u32));
                if let Err(error) = self.assign(count) {
                    tracing::warn!(topic = self.topic, %error, "assigning the commit log failed, trying again");
                    return self.shared.failed(&error);
                }
                self.partitions = count;
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(topic = self.topic, %error, "looking for the commit log failed, trying again");
                self.shared.failed(&error);
            }
        }
        self.shared.describe_again();
    }

    /// None is what a log has that is not there.
    fn count(&self) -> KafkaResult<usize> {
        let metadata = self.consumer.fetch_metadata(Some(&self.topic), REQUEST_TIMEOUT)?;
        let found = metadata.topics().iter().find(|topic| topic.name() == self.topic);
        match found.and_then(|topic| topic.error()).map(RDKafkaErrorCode::from) {
            None => Ok(found.map_or(0, |topic| topic.partitions().len())),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) => Ok(0),
            Some(code) => Err(KafkaError::MetadataFetch(code)),
        }
    }

    /// All from the beginning, also those that were read before: what is read twice changes nothing.
    fn assign(&self, count: usize) -> KafkaResult<()> {
        self.assign_at(count, |_| Offset::Beginning)
    }

    fn assign_at(&self, count: usize, offset: impl Fn(i32) -> Offset) -> KafkaResult<()> {
        let mut list = TopicPartitionList::new();
        for number in 0..count as i32 {
            list.add_partition_offset(&self.topic, number, offset(number))?;
        }
        self.consumer.assign(&list)
    }

    /// Goes on where it is, as if it began there: so the end of every partition is told again, as it is from now on, whatever
    /// compaction and transactions have left before it.
    fn begin_to_catch_up(&mut self) {
        let asked = self.shared.take_catch_ups();
        if asked.is_empty() {
            return;
        }
        match self.go_on() {
            Ok(count) => {
                let open: BTreeSet<_> = (0..count as i32).collect();
                self.catching_up.extend(asked.into_iter().map(|answer| CatchUp { open: open.clone(), answer }));
                self.caught_up();
            }
            Err(error) => {
                self.shared.failed(&error);
                asked.into_iter().for_each(|answer| drop(answer.send(Err(error.to_string()))));
            }
        }
    }

    fn go_on(&mut self) -> KafkaResult<usize> {
        let count = self.count()?;
        let positions = self.consumer.position()?;
        let position = |number| match positions.find_partition(&self.topic, number).map(|found| found.offset()) {
            Some(Offset::Offset(position)) => Offset::Offset(position),
            _ => Offset::Beginning,
        };
        if count != self.partitions {
            self.shared.learn(&Fact::LogPartitions(count as u32));
        }
        self.assign_at(count, position)?;
        self.partitions = count;
        Ok(count)
    }

    fn ended(&mut self, number: i32) {
        self.shared.learn(&Fact::LogEnd(number));
        for waiting in &mut self.catching_up {
            waiting.open.remove(&number);
        }
        self.caught_up();
    }

    fn caught_up(&mut self) {
        for waiting in self.catching_up.extract_if(.., |waiting| waiting.open.is_empty()) {
            // Nobody may wait for it any more.
            drop(waiting.answer.send(Ok(())));
        }
    }

    fn message(&self, message: &BorrowedMessage<'_>) {
        let key = message.key().unwrap_or_default();
        let fact = match message.payload() {
            None => Key::decode(key).map(Fact::Tombstone),
            Some(value) => {
                let headers = message.headers().and_then(|headers| headers.iter().find(|h| h.key == "orig_message_ts"));
                Record::decode(key, value, headers.and_then(|header| header.value)).map(Fact::Record)
            }
        };
        match fact {
            Ok(fact) => {
                self.shared.count_record();
                self.shared.learn(&fact);
            }
            Err(error) => {
                let (partition, offset) = (message.partition(), message.offset());
                tracing::debug!(topic = self.topic, partition, offset, %error, "a message was passed over");
                self.shared.count_unreadable();
            }
        }
    }
}
