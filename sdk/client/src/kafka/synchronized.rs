//! The synchronized consumer: a member of a group like any other, that hands out a message only when the followed groups
//! have written it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tidegate_commit_log::Partition;

use super::commit_log::CommitLog;
use super::membership::{Change, Membership, not_committed};
use super::shared::milliseconds;
use super::wake::Wake;
use super::{Error, asker::Listener};
use crate::follower::{Follower, Input, Output, Report};
use crate::gate::Fact;

/// What is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SynchronizedSettings {
    /// A message is handed out when all of these have written it.
    pub groups: Vec<String>,
    /// As in [`LogSettings`](super::LogSettings).
    pub repair: Option<Duration>,
}

/// Reads topics as a member of a consumer group, up to what other groups have written.
///
/// It is polled like rdkafka's [`BaseConsumer`], by one thread, at least every `max.poll.interval.ms`; asynchronous code polls
/// it in a thread of its own. Messages of a partition come in order, each once in an assignment. Offsets are committed by
/// whoever reads, with [`commit_message`](Self::commit_message); nothing is committed by itself, because a message in hand is
/// not read yet.
pub struct SynchronizedConsumer {
    consumer: Arc<BaseConsumer<Membership>>,
    wake: Arc<Wake>,
    log: CommitLog,
    follower: Follower,
    facts: Receiver<Fact>,
    /// Adds to `facts`.
    listener: Listener,
    /// Messages that are not written yet, one a partition.
    in_hand: BTreeMap<Partition, OwnedMessage>,
    /// Messages that are written; nothing is learnt before the last of them is handed out.
    ready: VecDeque<OwnedMessage>,
    paused: Vec<Partition>,
    /// Where the last message came from, and how many in a row.
    current: Option<(Partition, u32)>,
    rebalances: u64,
    started: Instant,
    ticked: Instant,
}

/// How many messages of one partition are handed out before another has its turn.
const TURN: u32 = 256;

/// How often the follower is told the time, and the longest sleep.
const TICK: Duration = Duration::from_millis(100);

impl SynchronizedConsumer {
    /// Subscribes to the topics. `kafka` is the configuration of any consumer, with its `group.id`; `enable.auto.commit` is
    /// off, whatever it says.
    ///
    /// # Errors
    /// If no group is followed, or `kafka` is not valid.
    pub fn new(
        kafka: &ClientConfig,
        log: &CommitLog,
        topics: &[&str],
        settings: SynchronizedSettings,
    ) -> Result<Self, Error> {
        if settings.groups.is_empty() {
            return Err(Error::NoGroups);
        }
        let failed = |cause| Error::Client { what: format!("a consumer of {}", topics.join(", ")), cause };
        let mut config = kafka.clone();
        config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        config.set("enable.partition.eof", "false");
        let wake = Arc::new(Wake::default());
        let made = config.create_with_context(Membership::new(wake.clone()));
        let mut consumer: BaseConsumer<Membership> = made.map_err(failed)?;
        let woken = wake.clone();
        consumer.set_nonempty_callback(move || woken.wake());
        let consumer = Arc::new(consumer);
        consumer.context().begin(&consumer);
        consumer.subscribe(topics).map_err(failed)?;
        let (listener, facts) = listen(&wake);
        log.shared().follow(listener.clone());
        let follower = Follower::new(settings.groups, settings.repair.map(milliseconds));
        let (in_hand, ready, paused, current, log) = (BTreeMap::new(), VecDeque::new(), Vec::new(), None, log.clone());
        let (started, ticked) = (Instant::now(), Instant::now());
        let rebalances = 0;
        Ok(Self {
            consumer,
            wake,
            log,
            follower,
            facts,
            listener,
            in_hand,
            ready,
            paused,
            current,
            rebalances,
            started,
            ticked,
        })
    }

    /// The next message that all groups have written; none when there is none in time. It wakes when a message or a
    /// record comes; rebalances happen in here.
    ///
    /// # Errors
    /// What Kafka says; the consumer goes on, poll again.
    pub fn poll(&mut self, timeout: Duration) -> Option<Result<OwnedMessage, Error>> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(message) = self.take_ready() {
                return Some(Ok(message));
            }
            if let Err(error) = self.serve().and_then(|()| self.read()) {
                return Some(Err(error));
            }
            if self.ready.iter().any(|message| !self.paused.contains(&partition(message))) {
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.wake.wait(left.min(TICK));
        }
    }

    /// Commits the position after a message, for this consumer's own group. `Async` positions are sent together, within 100 ms
    /// of polling, before a rebalance and at the end: one by one they could be thousands, and while a broker is away a rebalance
    /// waits for the answers to all of them.
    ///
    /// # Errors
    /// As of rdkafka.
    pub fn commit_message(&self, message: &OwnedMessage, mode: CommitMode) -> KafkaResult<()> {
        let (partition, position) = (partition(message), message.offset() + 1);
        if matches!(mode, CommitMode::Async) {
            self.consumer.context().will_commit(partition, position);
            return Ok(());
        }
        self.consumer.context().will_not_commit(&partition);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(position))?;
        self.consumer.commit(&list, mode)
    }

    /// Hands out nothing of these partitions until they are resumed, or assigned again.
    pub fn pause(&mut self, partitions: &[Partition]) {
        self.paused.extend_from_slice(partitions);
        self.handle(Input::Pause(partitions.to_vec()));
    }

    pub fn resume(&mut self, partitions: &[Partition]) {
        self.paused.retain(|paused| !partitions.contains(paused));
        self.handle(Input::Resume(partitions.to_vec()));
    }

    /// Everything before it has been written by all groups, as far as this consumer knows; none when the partition is not
    /// its own or closed.
    pub fn watermark(&self, partition: &Partition) -> Option<i64> {
        self.follower.watermark(partition)
    }

    /// How often partitions were given or taken so far. Messages handed out while it stays the same are of one assignment:
    /// in order, without a hole, none twice.
    pub fn rebalances(&self) -> u64 {
        self.rebalances
    }

    /// Partitions whose next message waits for the groups, and its offset.
    pub fn waiting(&self) -> impl Iterator<Item = (&Partition, i64)> {
        self.follower.in_hand()
    }

    fn take_ready(&mut self) -> Option<OwnedMessage> {
        let wanted = |message: &OwnedMessage| !self.paused.contains(&partition(message));
        let at = self.ready.iter().position(wanted)?;
        self.ready.remove(at)
    }

    /// Rebalances, then facts, then the time.
    fn serve(&mut self) -> Result<(), Error> {
        let consumer = self.consumer.clone();
        let polled = consumer.poll(Duration::ZERO).map(|polled| polled.map(|message| message.detach()));
        for change in consumer.context().take_changes() {
            self.change(change);
        }
        while let Ok(fact) = self.facts.try_recv() {
            self.handle(Input::Fact(fact));
        }
        if self.ticked.elapsed() >= TICK {
            self.ticked = Instant::now();
            self.handle(Input::Tick);
            consumer.context().commit(&consumer).unwrap_or_else(|error| not_committed(&error));
        }
        match polled {
            None => Ok(()),
            Some(Err(error)) => Err(Error::Read(error)),
            Some(Ok(message)) => Err(Error::Unordered { partition: partition(&message), offset: message.offset() }),
        }
    }

    fn change(&mut self, change: Change) {
        self.rebalances += 1;
        let (Change::Assigned(partitions) | Change::Revoked(partitions)) = &change;
        self.paused.retain(|paused| !partitions.contains(paused));
        self.ready.retain(|message| !partitions.contains(&partition(message)));
        self.handle(match change {
            Change::Assigned(partitions) => Input::Assigned(partitions),
            Change::Revoked(partitions) => Input::Revoked(partitions),
        });
    }

    /// Reads until there is a message to hand out, or nothing more to read.
    fn read(&mut self) -> Result<(), Error> {
        while self.ready.is_empty() {
            let Some((partition, message)) = self.next_message()? else { return Ok(()) };
            let offset = message.offset();
            self.in_hand.insert(partition.clone(), message);
            self.handle(Input::Message { partition, offset });
        }
        Ok(())
    }

    /// From the partition of the last one while it has its turn, otherwise from the next that has one.
    fn next_message(&mut self) -> Result<Option<(Partition, OwnedMessage)>, Error> {
        let membership = self.consumer.context();
        let last = self.current.take();
        if let Some((partition, count)) = last.clone().filter(|(_, count)| *count < TURN)
            && self.follower.is_readable(&partition)
            && let Some(read) = membership.read(&partition)
        {
            self.current = Some((partition.clone(), count + 1));
            return read.map(|message| Some((partition, message))).map_err(Error::Read);
        }
        let readable: Vec<_> = self.follower.readable().cloned().collect();
        let last = last.map(|(partition, _)| partition);
        let after = readable.iter().position(|partition| Some(partition) > last.as_ref()).unwrap_or(0);
        for partition in readable[after..].iter().chain(&readable[..after]) {
            if let Some(read) = membership.read(partition) {
                self.current = Some((partition.clone(), 1));
                return read.map(|message| Some((partition.clone(), message))).map_err(Error::Read);
            }
        }
        Ok(None)
    }

    fn handle(&mut self, input: Input) {
        let now_ms = milliseconds(self.started.elapsed());
        for output in self.follower.handle(input, now_ms) {
            match output {
                Output::Deliver { partition, .. } => self.ready.extend(self.in_hand.remove(&partition)),
                Output::Hold { .. } => {}
                Output::Drop { partition, .. } => drop(self.in_hand.remove(&partition)),
                Output::Ask(key) => self.log.shared().ask(key, self.listener.clone()),
                Output::Describe(topic) => self.log.shared().describe(topic),
                Output::Report(report) => warn(&report),
            }
        }
    }
}

/// What is sent to the listener wakes the consumer.
fn listen(wake: &Arc<Wake>) -> (Listener, Receiver<Fact>) {
    let (sender, facts) = channel();
    let wake = wake.clone();
    let listener = move |fact: &Fact| {
        let is_heard = sender.send(fact.clone()).is_ok();
        wake.wake();
        is_heard
    };
    (Arc::new(listener), facts)
}

fn warn(report: &Report) {
    match report {
        Report::Rewound { key, from, to } => tracing::warn!(?key, from, to, "the group has gone back on purpose"),
        Report::CommittedBelow { key, committed, recorded } => {
            let hint = "if the group is no consumer group, follow it without repair";
            tracing::warn!(?key, committed, recorded, hint, "the group has committed less than its records say");
        }
        Report::WentBack { partition, offset, expected } => {
            tracing::warn!(%partition, offset, expected, "messages went back, closed until confirmed");
        }
    }
}

fn partition(message: &OwnedMessage) -> Partition {
    Partition::new(message.topic(), message.partition())
}

impl Drop for SynchronizedConsumer {
    fn drop(&mut self) {
        self.consumer.context().commit(&self.consumer).unwrap_or_else(|error| not_committed(&error));
        self.consumer.context().end();
    }
}

impl fmt::Debug for SynchronizedConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting: Vec<_> = self.waiting().collect();
        f.debug_struct("SynchronizedConsumer").field("waiting", &waiting).finish_non_exhaustive()
    }
}
