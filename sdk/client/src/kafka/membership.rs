//! The consumer's side of a rebalance: every partition gets a queue of its own before its first message comes, so that a
//! message in hand holds up nothing else, and nothing is paused or fetched twice.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::OwnedMessage;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tidegate_commit_log::Partition;

use super::wake::Wake;

/// What the callbacks of a consumer know. They run inside of its `poll`.
pub struct Membership {
    pub(super) wake: Arc<Wake>,
    /// The consumer itself, which is made after its callbacks.
    consumer: OnceLock<Weak<BaseConsumer<Membership>>>,
    queues: Mutex<BTreeMap<Partition, PartitionQueue<Membership>>>,
    changes: Mutex<Vec<Change>>,
    /// Positions to commit, not sent yet.
    positions: Mutex<BTreeMap<Partition, i64>>,
}

/// What a rebalance has changed.
pub(super) enum Change {
    Assigned(Vec<Partition>),
    Revoked(Vec<Partition>),
}

impl Membership {
    pub(super) fn new(wake: Arc<Wake>) -> Self {
        Self {
            wake,
            consumer: OnceLock::new(),
            queues: Mutex::default(),
            changes: Mutex::default(),
            positions: Mutex::default(),
        }
    }

    /// To be called before the first poll.
    pub(super) fn begin(&self, consumer: &Arc<BaseConsumer<Membership>>) {
        self.consumer.get_or_init(|| Arc::downgrade(consumer));
    }

    /// The queues hold the consumer, which holds the queues.
    pub(super) fn end(&self) {
        let queues = std::mem::take(&mut *self.queues());
        drop(queues);
    }

    pub(super) fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut *self.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a position to commit with the next ones.
    pub(super) fn will_commit(&self, partition: Partition, position: i64) {
        self.positions().insert(partition, position);
    }

    /// One that is committed now makes an earlier one needless.
    pub(super) fn will_not_commit(&self, partition: &Partition) {
        self.positions().remove(partition);
    }

    /// Sends what is to be committed, in one request. Nobody waits for the answer: what is not committed is read again.
    pub(super) fn commit(&self, consumer: &BaseConsumer<Self>) -> KafkaResult<()> {
        let positions = std::mem::take(&mut *self.positions());
        if positions.is_empty() {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        for (partition, position) in positions {
            list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(position))?;
        }
        consumer.commit(&list, CommitMode::Async)
    }

    fn positions(&self) -> MutexGuard<'_, BTreeMap<Partition, i64>> {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next message that is there already.
    pub(super) fn read(&self, partition: &Partition) -> Option<KafkaResult<OwnedMessage>> {
        let queues = self.queues();
        let read = queues.get(partition)?.poll(std::time::Duration::ZERO)?;
        Some(read.map(|message| message.detach()))
    }

    fn queues(&self) -> MutexGuard<'_, BTreeMap<Partition, PartitionQueue<Membership>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: Change) {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push(change);
        self.wake.wake();
    }

    fn split(&self, partitions: &[Partition]) {
        // The consumer is being dropped: nothing is read any more.
        let Some(consumer) = self.consumer.get().and_then(Weak::upgrade) else { return };
        for partition in partitions {
            if let Entry::Vacant(place) = self.queues().entry(partition.clone())
                && let Some(mut queue) = consumer.split_partition_queue(&partition.topic, partition.number)
            {
                let wake = self.wake.clone();
                queue.set_nonempty_callback(move || wake.wake());
                place.insert(queue);
            }
        }
    }
}

impl ClientContext for Membership {}

impl ConsumerContext for Membership {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                let partitions = partitions(list);
                self.split(&partitions);
                self.change(Change::Assigned(partitions));
            }
            Rebalance::Revoke(list) => {
                // The group lets go of them when this is answered.
                self.commit(consumer).unwrap_or_else(|error| not_committed(&error));
                let partitions = partitions(list);
                partitions.iter().for_each(|partition| {
                    self.queues().remove(partition);
                });
                self.change(Change::Revoked(partitions));
            }
            Rebalance::Error(error) => tracing::warn!(%error, "a rebalance failed"),
        }
    }
}

pub(super) fn not_committed(error: &KafkaError) {
    tracing::warn!(%error, "positions were not committed; what is behind them is read again unless later ones are");
}

fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    list.elements().iter().map(|element| Partition::new(element.topic(), element.partition())).collect()
}
