//! The consumer's side of a rebalance: every partition gets a queue of its own before its first message comes, so that a
//! message in hand holds up nothing else, and nothing is paused or fetched twice.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaResult;
use rdkafka::message::OwnedMessage;
use rdkafka::{ClientContext, TopicPartitionList};
use tidegate_commit_log::Partition;

use super::wake::Wake;

/// What the callbacks of a consumer know. They run inside of its `poll`.
pub struct Membership {
    pub(super) wake: Arc<Wake>,
    /// The consumer itself, which is made after its callbacks.
    consumer: OnceLock<Weak<BaseConsumer<Membership>>>,
    queues: Mutex<BTreeMap<Partition, PartitionQueue<Membership>>>,
    changes: Mutex<Vec<Change>>,
    served: AtomicU64,
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
            served: AtomicU64::new(0),
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

    /// How many of the consumer's own events were served: rebalances, and answers to commits.
    pub(super) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
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
    fn commit_callback(&self, _: KafkaResult<()>, _: &TopicPartitionList) {
        self.served.fetch_add(1, Ordering::Relaxed);
    }

    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        self.served.fetch_add(1, Ordering::Relaxed);
        match rebalance {
            Rebalance::Assign(list) => {
                let partitions = partitions(list);
                self.split(&partitions);
                self.change(Change::Assigned(partitions));
            }
            Rebalance::Revoke(list) => {
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

fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    list.elements().iter().map(|element| Partition::new(element.topic(), element.partition())).collect()
}
