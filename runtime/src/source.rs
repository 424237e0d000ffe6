//! What a pipeline reads from, and what it tells it back: events in, commits out.
//! Two sources exist: Kafka (`kafka::source`) and the one of the simulation.

use tokio::sync::oneshot;

use crate::message::MessageBatch;
use crate::offset::{Assignment, Partition, Progress};
use crate::sink::Written;

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
    /// What the last commit of the group left beside its position; `None` when there was no commit, or a foreign one.
    pub committed: Option<CommitNote>,
}

/// Kept in the offset-commit metadata, so that the commit-log record of a commit can be written again after a crash
/// between the two.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CommitNote {
    /// Broker timestamp of the last message before the position, seconds since 1970.
    pub orig_message_ts: f64,
    /// See `commit_log::Record`.
    pub received_p99: Option<f64>,
}

/// A request to settle. Dropped without an answer, it says that the deadline passed.
#[derive(Debug)]
pub struct Flush {
    pub done: oneshot::Sender<()>,
}

/// Takes commits. An answer means the broker acknowledged.
pub trait Commit: Send + Sync + 'static {
    /// Commits the end of each range. Parts that are not this process's any more come back as not committed.
    fn commit(
        &self,
        written: &Progress,
        notes: &[(Partition, CommitNote)],
    ) -> impl Future<Output = Result<Acknowledged, CommitError>> + Send;
    /// Whether a partition is still in this stay with this process.
    fn holds(&self, partition: &Partition, assignment: Assignment) -> bool;
}

/// Which partitions the broker took, and which had been given up before (their rows will be read again elsewhere).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Acknowledged {
    pub taken: Vec<Partition>,
    pub abandoned: Vec<Partition>,
}

/// Proof that the positions are committed; only [`commit`] makes one.
#[derive(Debug)]
pub struct Committed {
    progress: Progress,
    notes: Vec<(Partition, CommitNote)>,
}

/// A commit that was not acknowledged and may be tried again.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("failed to commit {positions}: {cause}")]
pub struct CommitError {
    pub positions: String,
    pub cause: String,
}

/// Commits what is written. What was given up in the meantime is not in the answer.
pub async fn commit(
    source: &impl Commit,
    written: Written,
    notes: Vec<(Partition, CommitNote)>,
) -> Result<Committed, (Written, Vec<(Partition, CommitNote)>, CommitError)> {
    let acknowledged = match source.commit(written.progress(), &notes).await {
        Ok(acknowledged) => acknowledged,
        Err(error) => return Err((written, notes, error)),
    };
    let mut progress = written.into_progress();
    progress.split_off(|partition, _| !acknowledged.taken.contains(partition));
    let notes = notes.into_iter().filter(|(partition, _)| acknowledged.taken.contains(partition)).collect();
    Ok(Committed { progress, notes })
}

impl Committed {
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    pub fn notes(&self) -> &[(Partition, CommitNote)] {
        &self.notes
    }
}
