//! Offset commits: explicit positions with their notes, for partitions that are still held.

use std::sync::{Arc, Weak};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use super::group::{Callbacks, Group};
use super::notes;
use crate::offset::{Assignment, Partition};
use crate::source::{Acknowledged, Commit, CommitError, GroupPosition, LastCommit, PositionError};

/// Commits for one source, also while its poll thread waits in a rebalance: a synchronous commit needs only the
/// client's own thread.
pub struct Committer {
    /// The client ends on the poll thread, so this must not keep it alive.
    consumer: Weak<BaseConsumer<Callbacks>>,
    group: Arc<Group>,
}

impl Committer {
    pub(super) fn new(consumer: Weak<BaseConsumer<Callbacks>>, group: Arc<Group>) -> Self {
        Self { consumer, group }
    }
}

impl Commit for Committer {
    async fn commit(&self, positions: &[GroupPosition]) -> Result<Acknowledged, CommitError> {
        let mut list = TopicPartitionList::new();
        let mut acknowledged = Acknowledged::default();
        let error = |cause: String| CommitError { positions: text_of(positions), cause };
        for GroupPosition { partition, assignment, position, note } in positions {
            if !self.group.is_held(partition, *assignment) {
                acknowledged.abandoned.push(partition.clone());
                continue;
            }
            let added = notes::add(&mut list, &partition.topic, partition.number, *position, note);
            added.map_err(|cause| error(cause.to_string()))?;
            acknowledged.taken.push(partition.clone());
        }
        let (Some(consumer), false) = (self.consumer.upgrade(), acknowledged.taken.is_empty()) else {
            acknowledged.abandoned.append(&mut acknowledged.taken);
            return Ok(acknowledged);
        };
        let draining = self.group.drain.is_going_on();
        let sent = tokio::task::spawn_blocking(move || consumer.commit(&list, CommitMode::Sync));
        match sent.await {
            Ok(Ok(())) => {
                self.remember(positions);
                Ok(acknowledged)
            }
            // Also when the generation is an old one: a rebalance may be going on in which the partitions stay ours. If
            // they do not, they are not held any more when this is tried again.
            Ok(Err(cause)) => {
                if draining && throws_out(&cause) {
                    self.group.drain.refuse();
                }
                Err(error(cause.to_string()))
            }
            Err(cause) => Err(error(cause.to_string())),
        }
    }

    async fn committed(&self, partitions: &[Partition]) -> Result<Vec<Option<LastCommit>>, PositionError> {
        let error = |cause: String| PositionError { group: self.group.settings.group.clone(), cause };
        let consumer = self.consumer.upgrade().ok_or_else(|| error("the source has ended".into()))?;
        let numbers: Vec<i32> = partitions.iter().map(|partition| partition.number).collect();
        let group = self.group.clone();
        let asked = tokio::task::spawn_blocking(move || group.committed(&consumer, &numbers)).await;
        asked.map_err(|cause| error(cause.to_string()))?.map_err(|cause| error(cause.to_string()))
    }

    fn holds(&self, partition: &Partition, assignment: Assignment) -> bool {
        self.group.is_held(partition, assignment)
    }
}

impl Committer {
    fn remember(&self, positions: &[GroupPosition]) {
        let mut all = self.group.held();
        for GroupPosition { partition, assignment, position, .. } in positions {
            if let Some(held) = all.get_mut(&partition.number).filter(|held| held.assignment == *assignment) {
                held.committed = *position;
            }
        }
    }
}

/// Whether the group has gone on without us.
fn throws_out(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{FencedInstanceId, IllegalGeneration, UnknownMemberId};
    matches!(error.rdkafka_error_code(), Some(FencedInstanceId | IllegalGeneration | UnknownMemberId))
}

/// `events/0@5, events/3@8`
fn text_of(positions: &[GroupPosition]) -> String {
    let texts = positions.iter().map(|GroupPosition { partition, position, .. }| format!("{partition}@{position}"));
    texts.collect::<Vec<_>>().join(", ")
}
