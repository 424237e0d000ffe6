//! Membership of the consumer group: what is held, and what happens when that changes. Callbacks run on the poll
//! thread, inside of its `poll`.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use rdkafka_sys as sys;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::notes::last_commits;
use super::queue::Queue;
use super::trouble::Trouble;
use super::{Error, Observers, REQUEST_TIMEOUT, Reset, Settings};
use crate::message::Parts;
use crate::offset::{Assignment, Partition, Range};
use crate::source::{Assigned, Event, Flush, LastCommit};

/// What the poll thread, its callbacks and the committer share.
pub(super) struct Group {
    pub(super) settings: Settings,
    pub(super) topic: Arc<str>,
    pub(super) observers: Observers,
    pub(super) runtime: Handle,
    /// Taken away at the end: the pipeline ends when nothing can come any more.
    events: Mutex<Option<mpsc::UnboundedSender<Event>>>,
    /// What librdkafka has read of the partitions held. From the beginning to the end of the client.
    queue: Mutex<Option<Queue>>,
    held: Mutex<BTreeMap<i32, Held>>,
    failure: Mutex<Option<Error>>,
    /// Nothing is taken on any more.
    leaving: AtomicBool,
    pub(super) drain: Drain,
    /// A member that does not poll for longer is thrown out of the group.
    poll_interval_max: Duration,
}

/// Whether partitions are being given up, and whether the group has thrown us out meanwhile: librdkafka raises no flag
/// during a rebalance (confluentinc/librdkafka#5604), but a refused commit tells.
#[derive(Default)]
pub(super) struct Drain {
    going_on: AtomicBool,
    refused: AtomicBool,
}

/// A partition that is ours.
pub(super) struct Held {
    pub(super) assignment: Assignment,
    /// Next offset to read.
    pub(super) position: i64,
    /// Next offset after what is committed.
    pub(super) committed: i64,
    /// An error came instead of what is at the position. The client counts it as a message, and after a rebalance it goes on
    /// behind it.
    pub(super) in_doubt: bool,
}

/// The consumer's callbacks.
pub(super) struct Callbacks(pub(super) Arc<Group>, pub(super) Trouble);

/// How often a drain looks whether there is still a reason to go on.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Rises with every assignment of the process.
static ASSIGNMENTS: AtomicU64 = AtomicU64::new(0);

impl Group {
    /// Made on the thread that polls.
    pub(super) fn new(
        settings: Settings,
        poll_interval_max: Duration,
        events: mpsc::UnboundedSender<Event>,
        runtime: Handle,
        observers: Observers,
    ) -> Self {
        let topic = settings.topic.as_str().into();
        let (held, failure, events) = (Mutex::default(), Mutex::default(), Mutex::new(Some(events)));
        let (leaving, drain) = (AtomicBool::new(false), Drain::default());
        let queue = Mutex::default();
        Self { settings, topic, observers, runtime, events, queue, held, failure, leaving, drain, poll_interval_max }
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Option<Queue>> {
        self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn held(&self) -> MutexGuard<'_, BTreeMap<i32, Held>> {
        self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn fail(&self, error: Error) {
        self.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
    }

    pub(super) fn failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    pub(super) fn partition(&self, number: i32) -> Partition {
        Partition { topic: self.topic.clone(), number }
    }

    pub(super) fn selects(&self, message: &Parts<'_>) -> bool {
        self.settings.select.as_ref().is_none_or(|select| select.takes(message.key, message.headers))
    }

    /// Whether the stay is the present one.
    pub(super) fn is_held(&self, partition: &Partition, assignment: Assignment) -> bool {
        self.held().get(&partition.number).is_some_and(|held| held.assignment == assignment)
    }

    /// Nobody listens any more when the pipeline was given up; then there is nothing to tell.
    pub(super) fn send(&self, event: Event) {
        if let Some(events) = &*self.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
            let _ = events.send(event);
        }
    }

    /// Nothing is sent after this.
    pub(super) fn end(&self) {
        self.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    }

    /// Takes on no partitions any more, and asks for everything sent so far to be settled.
    pub(super) fn begin_to_leave(&self) -> oneshot::Receiver<()> {
        self.leaving.store(true, Ordering::Release);
        self.flush()
    }

    /// Waits until everything sent so far is settled: for as long as the group waits for us, and as long as what is
    /// settled could still be committed.
    fn drain(&self, is_lost: impl Fn() -> bool) {
        self.drain.begin();
        let started = Instant::now();
        let limit = drain_limit(self.settings.drain_timeout, self.poll_interval_max);
        let mut answer = self.flush();
        let outcome = loop {
            let look = self.runtime.block_on(async { tokio::time::timeout(LOOK_EVERY, &mut answer).await });
            match look {
                Ok(Ok(())) => break None,
                Ok(Err(_)) => break Some("the pipeline has ended"),
                Err(_) if is_lost() || self.drain.is_refused() => break Some("the partitions are lost"),
                Err(_) if started.elapsed() >= limit => break Some("it takes too long"),
                Err(_) => {}
            }
        };
        self.drain.end();
        if let Some(why) = outcome {
            let waited = started.elapsed();
            tracing::warn!(why, ?waited, ?limit, "drain given up, what is not written is left uncommitted");
        }
    }

    /// Asks for everything sent so far to be settled.
    pub(super) fn flush(&self) -> oneshot::Receiver<()> {
        let (done, answer) = oneshot::channel();
        self.send(Event::Flush(Flush { done }));
        answer
    }

    /// Gives up partitions; those that were not held are passed over.
    pub(super) fn let_go(&self, numbers: impl IntoIterator<Item = i32>) {
        let mut revoked = Vec::new();
        for number in numbers {
            let gone = self.held().remove(&number);
            let Some(gone) = gone else { continue };
            if let Some(queue) = &mut *self.queue() {
                queue.forget(number);
            }
            let partition = self.partition(number);
            self.observers.tell(|metrics, _| metrics.forget(&partition));
            revoked.push((partition, gone.assignment));
        }
        if !revoked.is_empty() {
            self.send(Event::Revoked(revoked));
        }
    }

    fn assign(&self, consumer: &BaseConsumer<Callbacks>, list: &mut TopicPartitionList) {
        if self.leaving.load(Ordering::Acquire) {
            return;
        }
        let numbers = numbers(list);
        let taken = self.positions(consumer, &numbers).and_then(|positions| self.take_on(list, positions));
        // Before the client begins to read, or the first messages go elsewhere.
        match taken.and_then(|()| self.take_in(consumer, &numbers)) {
            Ok(()) => self.observers.tell(|metrics, _| metrics.rebalanced("assigned")),
            Err(error) => self.fail(error),
        }
    }

    /// Begins a stay of each partition at its position, and says so in the list.
    pub(super) fn take_on(
        &self,
        list: &mut TopicPartitionList,
        positions: Vec<(i32, i64, Option<LastCommit>)>,
    ) -> Result<(), Error> {
        let mut assigned = Vec::new();
        for (number, position, committed) in positions {
            let partition = self.partition(number);
            list.set_partition_offset(&self.topic, number, Offset::Offset(position))
                .map_err(|error| Error::Read { topic: self.topic.to_string(), cause: error.to_string() })?;
            let assignment = Assignment(ASSIGNMENTS.fetch_add(1, Ordering::Relaxed) + 1);
            self.held().insert(number, Held { assignment, position, committed: position, in_doubt: false });
            assigned.push(Assigned { partition, assignment, position, committed });
        }
        let partitions: Vec<_> = assigned.iter().map(|a| format!("{}@{}", a.partition, a.position)).collect();
        tracing::info!(?partitions, "partitions assigned");
        self.send(Event::Assigned(assigned));
        Ok(())
    }

    /// Messages of these partitions come into our queue from now on, those that wait for a reader among them.
    pub(super) fn take_in(&self, consumer: &BaseConsumer<Callbacks>, numbers: &[i32]) -> Result<(), Error> {
        let (client, queue) = (consumer.client().native_ptr(), self.queue());
        for number in numbers {
            // SAFETY: the consumer is alive, and the queue is its.
            if !queue.as_ref().is_some_and(|queue| unsafe { queue.take_in(client, &self.topic, *number) }) {
                return Err(Error::Read { topic: self.topic.to_string(), cause: "no queue to be had".into() });
            }
        }
        Ok(())
    }

    fn revoke(&self, numbers: &[i32], is_lost: impl Fn() -> bool) {
        let lost = is_lost();
        tracing::info!(partitions = ?numbers, lost, "partitions revoked");
        self.observers.tell(|metrics, _| metrics.rebalanced(if lost { "lost" } else { "revoked" }));
        let any_held = numbers.iter().any(|number| self.held().contains_key(number));
        if any_held && !lost {
            self.drain(is_lost);
        }
        self.let_go(numbers.iter().copied());
    }

    /// Where the pipeline that is behind goes on, or what the policy gives.
    fn positions(
        &self,
        consumer: &BaseConsumer<Callbacks>,
        numbers: &[i32],
    ) -> Result<Vec<(i32, i64, Option<LastCommit>)>, Error> {
        let committed = self.insist(|| self.committed(consumer, numbers))?;
        let position = |(number, committed): (&i32, Option<LastCommit>)| {
            let Some(last) = committed else { return Ok((*number, self.first_position(consumer, *number)?, None)) };
            let places = self.settings.pipelines.iter().map(|name| last.place_of(name).position);
            Ok((*number, places.min().unwrap_or(last.position), Some(last)))
        };
        numbers.iter().zip(committed).map(position).collect()
    }

    /// What the group has committed of these partitions, in their order.
    pub(super) fn committed(
        &self,
        consumer: &BaseConsumer<Callbacks>,
        numbers: &[i32],
    ) -> KafkaResult<Vec<Option<LastCommit>>> {
        let mut asked = TopicPartitionList::new();
        for number in numbers {
            asked.add_partition(&self.topic, *number);
        }
        let told = consumer.committed_offsets(asked, REQUEST_TIMEOUT)?;
        Ok(last_commits(&told)?.into_iter().map(|(_, committed)| committed).collect())
    }

    fn first_position(&self, consumer: &BaseConsumer<Callbacks>, number: i32) -> Result<i64, Error> {
        let has = self.has(consumer, number)?;
        match self.settings.start {
            Reset::Earliest => Ok(has.start),
            Reset::Latest => Ok(has.end),
            Reset::Error => Err(Error::NoPosition {
                partition: self.partition(number).to_string(),
                group: self.settings.group.clone(),
            }),
        }
    }

    /// What the topic has of a partition now.
    pub(super) fn has(&self, consumer: &BaseConsumer<Callbacks>, number: i32) -> Result<Range, Error> {
        let (low, high) = self.insist(|| consumer.fetch_watermarks(&self.topic, number, REQUEST_TIMEOUT))?;
        Ok(Range::new(low, high))
    }

    /// The coordinator may be moving; without an answer for long the group throws us out anyway.
    fn insist<T>(&self, ask: impl Fn() -> Result<T, KafkaError>) -> Result<T, Error> {
        let started = Instant::now();
        loop {
            match ask() {
                Ok(answer) => return Ok(answer),
                Err(error) if started.elapsed() > REQUEST_TIMEOUT => {
                    return Err(Error::Read { topic: self.topic.to_string(), cause: error.to_string() });
                }
                Err(error) => tracing::warn!(%error, "asking for positions failed, trying again"),
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drain {
    fn begin(&self) {
        self.refused.store(false, Ordering::Release);
        self.going_on.store(true, Ordering::Release);
    }

    fn end(&self) {
        self.going_on.store(false, Ordering::Release);
    }

    pub(super) fn is_going_on(&self) -> bool {
        self.going_on.load(Ordering::Acquire)
    }

    /// A commit that began during the drain was refused for good: our generation does not change before its end.
    pub(super) fn refuse(&self) {
        self.refused.store(true, Ordering::Release);
    }

    fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }
}

/// The group gives up a member that does not come back within its poll interval; a quarter of it is for the way back.
fn drain_limit(drain_timeout: Duration, poll_interval_max: Duration) -> Duration {
    drain_timeout.min(poll_interval_max * 3 / 4)
}

impl ClientContext for Callbacks {
    fn error(&self, error: KafkaError, reason: &str) {
        let text = self.1.tell(&error, reason);
        tracing::warn!(error = text, "kafka client");
        self.0.observers.tell(|_, status| status.last_error(&text));
    }
}

impl ConsumerContext for Callbacks {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let client = consumer.client().native_ptr();
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let assigns = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if assigns {
            self.0.assign(consumer, list);
        } else {
            self.0.revoke(&numbers(list), || consumer.assignment_lost());
        }
        // SAFETY: the client is alive in its own callback, and so is the list.
        unsafe {
            match (assigns, cooperative) {
                (true, true) => tell(sys::rd_kafka_incremental_assign(client, list.ptr())),
                (true, false) => drop(sys::rd_kafka_assign(client, list.ptr())),
                (false, true) => tell(sys::rd_kafka_incremental_unassign(client, list.ptr())),
                (false, false) => drop(sys::rd_kafka_assign(client, std::ptr::null())),
            }
        }
    }
}

/// # Safety
/// `error` is null or an error that was given to us.
unsafe fn tell(error: *mut sys::rd_kafka_error_t) {
    if !error.is_null() {
        // SAFETY: by contract; the text lives as long as the error.
        unsafe {
            let text = CStr::from_ptr(sys::rd_kafka_error_string(error)).to_string_lossy().into_owned();
            tracing::warn!(error = text, "the client did not take the answer to a rebalance");
            sys::rd_kafka_error_destroy(error);
        }
    }
}

fn numbers(list: &TopicPartitionList) -> Vec<i32> {
    list.elements().iter().map(rdkafka::topic_partition_list::TopicPartitionListElem::partition).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_ends_before_the_group_gives_us_up() {
        let seconds = Duration::from_secs;
        assert_eq!(drain_limit(seconds(30), seconds(300)), seconds(30));
        assert_eq!(drain_limit(seconds(30), seconds(8)), seconds(6));
    }
}
