//! The poll thread: it owns the consumer, reads the queue of its partitions into batches, and gives up when told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka_sys as sys;
use tokio::runtime::Handle;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use super::committer::Committer;
use super::group::{Callbacks, Group};
use super::queue::{Queue, QueueError};
use super::trouble::Trouble;
use super::{BATCH_BYTES_MAX, BATCH_MESSAGES_MAX, Brokers, Error, Observers, REQUEST_TIMEOUT, Role, Settings};
use crate::credit::Credits;
use crate::message::MessageBatch;
use crate::offset::Assignment;
use crate::secret::Secret;
use crate::source::Event;

/// A running source.
pub struct Source {
    pub events: mpsc::UnboundedReceiver<Event>,
    pub committer: Committer,
    pub stopper: Stopper,
    ended: oneshot::Receiver<Result<(), Error>>,
}

/// Asks a source to stop: read no more, drain, leave the group.
#[derive(Clone)]
pub struct Stopper {
    stop: Arc<AtomicBool>,
    thread: thread::Thread,
}

/// The thread's state.
struct Reader {
    /// Before the consumer, as it must be dropped first.
    end: End,
    consumer: Arc<BaseConsumer<Callbacks>>,
    group: Arc<Group>,
    credits: Credits,
    stop: Arc<AtomicBool>,
    /// Of a message, lately; decides how many make a batch.
    mean_bytes: usize,
    reported: Instant,
    out_of_range: Vec<OutOfRange>,
}

/// A partition whose position is not in the topic any more. Its stay ends when what was read in it is settled: a rewrite
/// that is left would never be carried out, and no record would say how far the stay is written.
struct OutOfRange {
    number: i32,
    assignment: Assignment,
    settled: oneshot::Receiver<()>,
}

/// What came of filling a batch.
#[derive(Default)]
struct Filled {
    count: usize,
    bytes: usize,
    /// What came instead of the message at a position: the number of its partition, and the position.
    failed: Option<(i32, i64, Failure)>,
}

enum Failure {
    Client(QueueError),
    /// A later message, after an error: the client may have gone on behind it.
    Later,
}

/// Errors after which librdkafka goes on behind the messages it could not read.
const SKIPS: [sys::rd_kafka_resp_err_t; 5] = [
    sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__BAD_MSG,
    sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__BAD_COMPRESSION,
    sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED,
    sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE,
    sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_INVALID_MSG,
];
/// The queue wakes the thread; this is for what does not.
const PAUSE: Duration = Duration::from_millis(10);
const POLL_INTERVAL: &str = "max.poll.interval.ms";
const POLL_INTERVAL_MS: &str = "300000";
/// For people and scrapers, who look every few seconds; every partition costs a few microseconds.
const REPORT_EVERY: Duration = Duration::from_millis(500);

impl Source {
    /// Joins the group and starts reading. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the client cannot be made of these settings.
    pub fn start(brokers: &Brokers, settings: Settings, observers: Observers) -> Result<Self, Error> {
        let (events, received) = mpsc::unbounded_channel();
        let (made, ready) = std::sync::mpsc::channel();
        let (end, ended) = oneshot::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let (runtime, stopped, brokers) = (Handle::current(), stop.clone(), brokers.clone());
        let name = format!("kafka-{}", settings.topic);
        let thread = thread::Builder::new().name(name).spawn(move || {
            let group = Group::new(settings, poll_interval_max(&brokers), events, runtime, observers);
            match Reader::new(&brokers, Arc::new(group), stopped) {
                Ok(reader) => {
                    let _ = made.send(Ok(Committer::new(Arc::downgrade(&reader.consumer), reader.group.clone())));
                    drop(made);
                    // Nobody waits when the pipeline was given up.
                    let _ = end.send(reader.run());
                }
                Err(error) => drop(made.send(Err(error))),
            }
        });
        let thread = thread.map_err(|error| Error::Client(error.to_string()))?;
        let committer = ready.recv().map_err(|_| Error::Client("the thread ended at once".into()))??;
        let stopper = Stopper::new(stop, thread.thread().clone());
        Ok(Self { events: received, committer, stopper, ended })
    }

    /// Takes the source apart: what the pipeline needs, and the end to wait for.
    pub fn split(self) -> (mpsc::UnboundedReceiver<Event>, Committer, impl Future<Output = Result<(), Error>>) {
        let Self { events, committer, ended, .. } = self;
        let ended = async { ended.await.unwrap_or_else(|_| Err(Error::Client("the poll thread panicked".into()))) };
        (events, committer, ended)
    }
}

impl Stopper {
    pub(crate) fn new(stop: Arc<AtomicBool>, thread: thread::Thread) -> Self {
        Self { stop, thread }
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Reader {
    fn new(brokers: &Brokers, group: Arc<Group>, stop: Arc<AtomicBool>) -> Result<Self, Error> {
        let settings = &group.settings;
        let mut config = brokers.config(
            Role::Consumer,
            &[
                ("session.timeout.ms", "45000"),
                ("heartbeat.interval.ms", "3000"),
                (POLL_INTERVAL, POLL_INTERVAL_MS),
                // Of a partition, and of all that a broker sends in one answer: compressed, and several times that in memory.
                // A partition's share is seen when all of it is unpacked, and what is there meanwhile is soon processed.
                ("fetch.message.max.bytes", "262144"),
                ("fetch.max.bytes", "1048576"),
                ("fetch.wait.max.ms", "100"),
                ("fetch.queue.backoff.ms", "10"),
                ("queued.min.messages", "100000"),
                // Of all partitions, since they share a queue. What is left of it when more is asked for bridges the answer.
                ("queued.max.messages.kbytes", "8192"),
                ("check.crcs", "true"),
                ("topic.metadata.refresh.interval.ms", "30000"),
            ],
        );
        // What decides correctness is set last: nothing may override it.
        config
            .set("group.id", &settings.group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "false")
            .set("auto.offset.reset", "error");
        let client = |error: KafkaError| Error::Client(error.to_string());
        let callbacks = Callbacks(group.clone(), Trouble::new(brokers));
        let consumer: BaseConsumer<Callbacks> = config.create_with_context(callbacks).map_err(client)?;
        consumer.subscribe(&[&group.topic]).map_err(client)?;
        let credits = Credits::new(settings.read_ahead_bytes);
        credits.wake_on_return(thread::current());
        // SAFETY: the client was just made; the queue is dropped before it, by `leave` or `End`.
        let queue = unsafe { Queue::new(consumer.client().native_ptr(), thread::current()) };
        *group.queue() = Some(queue.ok_or_else(|| Error::Client("no queue to be had".into()))?);
        let consumer = Arc::new(consumer);
        let (end, reported) = (End(group.clone()), Instant::now());
        Ok(Self { end, consumer, group, credits, stop, mean_bytes: 1024, reported, out_of_range: Vec::new() })
    }

    fn run(mut self) -> Result<(), Error> {
        while !self.stop.load(Ordering::Acquire) && self.group.failure().is_none() {
            self.poll();
            self.go_on();
            let read = self.credits.available() > 0 && self.read();
            if self.reported.elapsed() >= REPORT_EVERY {
                self.report();
            }
            if !read {
                thread::park_timeout(PAUSE);
            }
        }
        self.leave()
    }

    /// Rebalances and errors come from here; messages of our partitions never do.
    fn poll(&self) {
        while let Some(event) = self.consumer.poll(Duration::ZERO) {
            if let Err(error) = event {
                self.trouble(&error);
            }
        }
    }

    /// Partitions out of range go on where the policy says, each when what was read of it is settled.
    fn go_on(&mut self) {
        let settled = |partition: &mut OutOfRange| partition.settled.try_recv() != Err(TryRecvError::Empty);
        for OutOfRange { number, assignment, .. } in self.out_of_range.extract_if(.., settled).collect::<Vec<_>>() {
            if let Err(error) = self.begin_anew(number, assignment) {
                self.group.fail(error);
            }
        }
    }

    fn begin_anew(&self, number: i32, assignment: Assignment) -> Result<(), Error> {
        let has = self.group.has(&self.consumer, number)?;
        // A rebalance that waits for its answer is served first: the client would take what follows for that answer.
        self.poll();
        if self.group.is_held(&self.group.partition(number), assignment) {
            self.group.begin_anew(&self.consumer, number, has)?;
        }
        Ok(())
    }

    /// Reads a batch of what is there, as far as the credit goes. False if there was nothing.
    fn read(&mut self) -> bool {
        let mut batch = MessageBatch::default();
        let Filled { count, bytes, failed } = self.fill(&mut batch);
        if let Some(mean) = bytes.checked_div(count) {
            self.mean_bytes = (self.mean_bytes * 3 + mean).div_ceil(4).max(64);
        }
        self.send(batch);
        let any = count > 0 || failed.is_some();
        match failed {
            Some((number, position, Failure::Client(error))) => self.partition_failed(number, position, &error),
            Some((number, position, Failure::Later)) => self.read_again(number, position),
            None => {}
        }
        any
    }

    /// Reads until the batch is full, the credit is used up, or something failed: what comes after a failure is not read
    /// before it is dealt with.
    fn fill(&self, batch: &mut MessageBatch) -> Filled {
        let (group, mut queue, mut all) = (&self.group, self.group.queue(), self.group.held());
        let (mut filled, mut credit, mut run) = (Filled::default(), self.credits.available(), None);
        let Some(queue) = &mut *queue else { return filled };
        let count_max = (BATCH_BYTES_MAX / self.mean_bytes).clamp(1, BATCH_MESSAGES_MAX);
        queue.read(count_max, |number, next| {
            if filled.failed.is_some() || credit == 0 {
                return false;
            }
            // Somebody else reads what is not held any more.
            let Some(held) = all.get_mut(&number) else { return true };
            let message = match next {
                // The client may hand out again what it was handing out when it was told to pause.
                Ok(message) if message.offset < held.position => return true,
                Ok(message) if message.offset > held.position && held.in_doubt => {
                    filled.failed = Some((number, held.position, Failure::Later));
                    held.in_doubt = false;
                    return false;
                }
                Ok(message) => message,
                Err(error) => {
                    filled.failed = Some((number, held.position, Failure::Client(error)));
                    held.in_doubt = true;
                    return true;
                }
            };
            let selected = group.selects(&message);
            let more = message.payload.map_or(0, <[u8]>::len);
            let too_much = batch.payloads.len() + more > BATCH_BYTES_MAX || batch.len() >= BATCH_MESSAGES_MAX;
            if selected && too_much && !batch.is_empty() {
                return false;
            }
            if run.replace(number) != Some(number) {
                batch.begin_run(group.partition(number), held.assignment, held.position);
            }
            (held.position, filled.count) = (message.offset + 1, filled.count + 1);
            held.in_doubt = false;
            if selected {
                filled.bytes += more;
                credit = credit.saturating_sub(message.held_bytes());
                batch.push(message);
            } else {
                batch.pass_over(message.offset, message.timestamp_ms);
            }
            true
        });
        filled
    }

    fn send(&self, mut batch: MessageBatch) {
        batch.runs.retain(|run| run.messages() > 0);
        if batch.runs.is_empty() {
            return;
        }
        batch.shrink_to_fit();
        let credit = self.credits.take(batch.held_bytes());
        batch.hold(credit);
        self.group.send(Event::Messages(batch));
    }

    fn partition_failed(&mut self, number: i32, position: i64, error: &QueueError) {
        let partition = self.group.partition(number);
        if error.code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET {
            tracing::info!(%partition, position, error = error.text, "position out of range, settling what was read");
            let Some(assignment) = self.group.held().get(&number).map(|held| held.assignment) else { return };
            self.out_of_range.push(OutOfRange { number, assignment, settled: self.group.flush() });
            return;
        }
        // The client would read on behind what it cannot read: messages would be lost in silence.
        if SKIPS.contains(&error.code) {
            let cause = format!("{partition}@{position}: {}", error.text);
            return self.group.fail(Error::Read { topic: self.group.topic.to_string(), cause });
        }
        tracing::warn!(%partition, error = error.text, "reading a partition failed, the client tries again");
        self.group.observers.tell(|_, status| status.last_error(&format!("{partition}: {}", error.text)));
    }

    /// From a position that the client may have passed over. If nothing is there any more, the next message is the next one.
    fn read_again(&self, number: i32, position: i64) {
        let partition = self.group.partition(number);
        tracing::info!(%partition, position, "reading again after an error, so that no message is passed over");
        if let Some(queue) = &mut *self.group.queue() {
            queue.forget(number);
        }
        // Without waiting: what the client has read from elsewhere is void from now on.
        let done = self.consumer.seek(&self.group.topic, number, Offset::Offset(position), Duration::ZERO);
        if let Err(error) = done {
            let cause = format!("{partition}@{position}: {error}");
            self.group.fail(Error::Read { topic: self.group.topic.to_string(), cause });
        }
    }

    fn trouble(&self, error: &KafkaError) {
        if let Some((code, text)) = self.consumer.client().fatal_error() {
            let cause = format!("{code}: {text}");
            return self.group.fail(Error::Read { topic: self.group.topic.to_string(), cause });
        }
        if error.rdkafka_error_code() == Some(rdkafka::types::RDKafkaErrorCode::AutoOffsetReset) {
            let cause = "a committed position is not in the topic any more".to_owned();
            return self.group.fail(Error::Read { topic: self.group.topic.to_string(), cause });
        }
        tracing::warn!(%error, "kafka consumer");
    }

    fn report(&mut self) {
        self.reported = Instant::now();
        let observers = &self.group.observers;
        observers.tell(|metrics, _| metrics.in_flight(self.credits.in_flight()));
        for (number, held) in &*self.group.held() {
            let partition = self.group.partition(*number);
            let end = super::topics::cached_end(&self.consumer, &self.group.topic, *number);
            observers.tell(|metrics, status| {
                status.read(&partition, held.position, end);
                if let Some(end) = end {
                    metrics.lag(&partition, (end - held.committed).max(0));
                }
            });
        }
    }

    /// Reads no more, lets what was read be settled, gives up the partitions, leaves the group.
    fn leave(self) -> Result<(), Error> {
        let Self { end, consumer, group, .. } = self;
        group.observers.tell(|_, status| status.stopping());
        let drained = drain(&consumer, &group);
        let held: Vec<i32> = group.held().keys().copied().collect();
        group.let_go(held);
        // The client waits for its end.
        group.queue().take();
        // A commit may be on its way with a reference of its own; the client must end on this thread.
        drop_last(consumer);
        drop(end);
        match group.failure() {
            Some(error) => Err(error),
            None if drained => Ok(()),
            None => Err(Error::Read {
                topic: group.topic.to_string(),
                cause: format!(
                    "what was read was not settled within {:?}; it is read again",
                    group.settings.drain_timeout
                ),
            }),
        }
    }
}

fn poll_interval_max(brokers: &Brokers) -> Duration {
    let text = brokers.properties.get(POLL_INTERVAL).map_or(POLL_INTERVAL_MS, Secret::expose);
    // The client refuses what is no number.
    Duration::from_millis(text.parse().unwrap_or(0))
}

/// Polls on meanwhile: a rebalance that is going on needs this member, or its commits are refused.
fn drain(consumer: &BaseConsumer<Callbacks>, group: &Group) -> bool {
    let (mut answer, started) = (group.begin_to_leave(), Instant::now());
    while started.elapsed() < group.settings.drain_timeout {
        // Messages of partitions that were not taken on come this way; somebody else will read them.
        if let Some(Err(error)) = consumer.poll(Duration::ZERO) {
            tracing::warn!(%error, "kafka consumer, while leaving");
        }
        match answer.try_recv() {
            Ok(()) => return true,
            Err(TryRecvError::Closed) => return false,
            Err(TryRecvError::Empty) => thread::park_timeout(PAUSE),
        }
    }
    false
}

/// A commit that gets no answer keeps the client for ever; the group misses us without it, too.
fn drop_last<T>(mut shared: Arc<T>) {
    let started = Instant::now();
    while started.elapsed() < REQUEST_TIMEOUT {
        match Arc::try_unwrap(shared) {
            Ok(last) => return drop(last),
            Err(still_shared) => shared = still_shared,
        }
        thread::park_timeout(PAUSE);
    }
    tracing::warn!("a commit has no answer, leaving the group without a word");
    // Nor may the last reference go on a thread of the commit.
    std::mem::forget(shared);
}

/// The end of the thread, be it by a panic: the queue goes before its client, and nothing comes any more.
struct End(Arc<Group>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.held().clear();
        self.0.queue().take();
        self.0.end();
    }
}
