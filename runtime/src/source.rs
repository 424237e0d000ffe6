//! What a pipeline reads from, and what it tells it back: events in, commits out.
//! Two sources exist: Kafka (`kafka::source`) and the one of the simulation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::message::MessageBatch;
use crate::offset::{Assignment, Partition};

/// What a source sends, in order, down the one queue that rows travel too.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every event is a batch")]
pub enum Event {
    /// Partitions now belong to this process.
    Assigned(Vec<Assigned>),
    Messages(MessageBatch),
    /// Settle everything sent before this, then answer. Comes before partitions are given up and before the end.
    Flush(Flush),
    /// Partitions are gone: nothing is said of them any more.
    Revoked(Vec<(Partition, Assignment)>),
}

/// A partition at the moment it is assigned.
#[derive(Clone, Debug, PartialEq)]
pub struct Assigned {
    pub partition: Partition,
    pub assignment: Assignment,
    /// The position that reading starts from.
    pub position: i64,
    /// What was committed last; `None` when that was nothing.
    pub committed: Option<LastCommit>,
}

/// A position of the group, and what was left beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct LastCommit {
    pub position: i64,
    pub note: GroupNote,
}

/// Kept in the offset-commit metadata, so that the commit-log record of a commit can be written again after a crash
/// between the two.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommitNote {
    /// Broker timestamp of the last message before the position, seconds since 1970.
    pub orig_message_ts: f64,
    /// See `commit_log::Record`.
    pub received_p99: Option<f64>,
}

/// The note of a group: of its one pipeline, or of each that shares it. Empty where somebody else has committed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupNote {
    /// Of the pipeline that is at the group's position; none while that has committed nothing.
    #[serde(flatten)]
    pub first: Option<CommitNote>,
    /// By their names; empty while there was never more than one. A pipeline that is not in it is where the group is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pipelines: BTreeMap<String, Place>,
}

/// How far one pipeline of a group is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Next offset after what is written.
    pub position: i64,
    /// None while it has committed nothing, and where somebody else has set it.
    pub note: Option<CommitNote>,
}

/// A position to be committed for the group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupPosition {
    pub partition: Partition,
    pub assignment: Assignment,
    pub position: i64,
    pub note: GroupNote,
}

/// A request to settle. Dropped without an answer, it says that the deadline passed.
#[derive(Debug)]
pub struct Flush {
    pub done: oneshot::Sender<()>,
}

/// Takes commits. An answer means the broker acknowledged.
pub trait Commit: Send + Sync + 'static {
    /// Commits positions. Partitions that are not this process's any more come back as not committed.
    fn commit(&self, positions: &[GroupPosition]) -> impl Future<Output = Result<Acknowledged, CommitError>> + Send;
    /// What the group has committed of these partitions by now, in their order, whoever did it; `None` where that is
    /// nothing.
    fn committed(
        &self,
        partitions: &[Partition],
    ) -> impl Future<Output = Result<Vec<Option<LastCommit>>, PositionError>> + Send;
    /// Whether a partition is still in this stay with this process.
    fn holds(&self, partition: &Partition, assignment: Assignment) -> bool;
}

/// Which partitions the broker took, and which had been given up before (their rows will be read again elsewhere).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Acknowledged {
    pub taken: Vec<Partition>,
    pub abandoned: Vec<Partition>,
}

/// A commit that was not acknowledged and may be tried again.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("failed to commit {positions}: {cause}")]
pub struct CommitError {
    pub positions: String,
    pub cause: String,
}

/// What is committed could not be learnt, and may be asked again.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("failed to ask group {group:?} what it has committed: {cause}")]
pub struct PositionError {
    pub group: String,
    pub cause: String,
}

impl LastCommit {
    /// Where a pipeline of the group is.
    pub fn place_of(&self, pipeline: &str) -> Place {
        let here = Place { position: self.position, note: self.note.first };
        self.note.pipelines.get(pipeline).copied().unwrap_or(here)
    }
}
