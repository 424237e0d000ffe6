//! A pipeline's share in its group: each pipeline commits for itself, and the group is where the last of them is. How far
//! each one is stands in the note beside the group's position, so that none does again what it has done
//! (docs/decisions/0011-one-reader-for-several-pipelines.md).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::offset::{Assignment, Covered, Partition, Progress};
use crate::sink::Written;
use crate::source::{
    Acknowledged, Assigned, Commit, CommitError, CommitNote, GroupNote, GroupPosition, LastCommit, Place, PositionError,
};

/// Of a group: their notes must fit the 4096 characters that brokers keep beside a position.
pub const PIPELINES_MAX: usize = 16;

/// The commits of one pipeline.
pub struct Share<C> {
    group: Arc<Group<C>>,
    index: usize,
}

/// What the pipelines of one source share.
pub(crate) struct Group<C> {
    committer: C,
    pipelines: Vec<String>,
    stays: Mutex<BTreeMap<Partition, Stay>>,
    /// One commit at a time: a later one must not be overtaken.
    turn: tokio::sync::Mutex<()>,
}

/// A partition while it is here.
struct Stay {
    assignment: Assignment,
    /// Of each pipeline, in their order.
    places: Vec<Place>,
    /// Of pipelines of the group that do not run here.
    others: BTreeMap<String, Place>,
}

/// Proof that the positions are committed; only [`Share::commit`] makes one.
#[derive(Debug)]
pub struct Committed {
    progress: Progress,
    notes: Vec<(Partition, CommitNote)>,
}

impl<C: Commit> Share<C> {
    /// A share for each pipeline.
    pub(crate) fn all(committer: C, pipelines: Vec<String>) -> (Arc<Group<C>>, Vec<Self>) {
        let count = pipelines.len();
        let group = Group { committer, pipelines, stays: Mutex::default(), turn: tokio::sync::Mutex::default() };
        let group = Arc::new(group);
        let shares = (0..count).map(|index| Self { group: group.clone(), index }).collect();
        (group, shares)
    }

    /// Commits what is written. What was given up in the meantime is not in the answer.
    ///
    /// # Errors
    /// If the broker did not acknowledge; with everything that is needed to try again.
    pub async fn commit(
        &self,
        written: Written,
        notes: Vec<(Partition, CommitNote)>,
    ) -> Result<Committed, (Written, Vec<(Partition, CommitNote)>, CommitError)> {
        let acknowledged = match self.acknowledged(written.progress(), &notes).await {
            Ok(acknowledged) => acknowledged,
            Err(error) => return Err((written, notes, error)),
        };
        let mut progress = written.into_progress();
        progress.split_off(|partition, _| !acknowledged.taken.contains(partition));
        let notes = notes.into_iter().filter(|(partition, _)| acknowledged.taken.contains(partition)).collect();
        Ok(Committed { progress, notes })
    }

    pub(crate) async fn acknowledged(
        &self,
        written: &Progress,
        notes: &[(Partition, CommitNote)],
    ) -> Result<Acknowledged, CommitError> {
        let _turn = self.group.turn.lock().await;
        let note_of = |partition: &Partition| notes.iter().find(|(of, _)| of == partition).map(|(_, note)| *note);
        let mut positions = Vec::new();
        for (partition, covered) in written.iter() {
            let place = Place { position: covered.range.end, note: note_of(partition) };
            positions.extend(self.group.advance(partition, covered, self.index, place));
        }
        self.group.committer.commit(&positions).await
    }

    /// Where this pipeline is by what the group has committed by now; `None` where that is nothing.
    ///
    /// # Errors
    /// If the group cannot be asked.
    pub async fn committed(&self, partitions: &[Partition]) -> Result<Vec<Option<Place>>, PositionError> {
        let committed = self.group.committer.committed(partitions).await?;
        let place = |last: LastCommit| last.place_of(&self.group.pipelines[self.index]);
        Ok(committed.into_iter().map(|last| last.map(place)).collect())
    }

    /// Whether a partition is still in this stay with this process.
    pub fn holds(&self, partition: &Partition, assignment: Assignment) -> bool {
        self.group.committer.holds(partition, assignment)
    }
}

impl<C> Group<C> {
    fn stays(&self) -> MutexGuard<'_, BTreeMap<Partition, Stay>> {
        self.stays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a stay; returns how each pipeline sees it.
    pub(crate) fn assigned(&self, assigned: Assigned) -> Vec<Assigned> {
        let Assigned { partition, assignment, position, committed } = assigned;
        let first = Place { position, note: None };
        let place = |pipeline: &String| committed.as_ref().map_or(first, |last| last.place_of(pipeline));
        let places: Vec<_> = self.pipelines.iter().map(place).collect();
        let seen_by = |Place { position, note }: &Place| {
            let note = GroupNote { first: *note, pipelines: BTreeMap::new() };
            let committed = committed.is_some().then_some(LastCommit { position: *position, note });
            Assigned { partition: partition.clone(), assignment, position: *position, committed }
        };
        let of_pipelines = places.iter().map(seen_by).collect();
        let others = self.others(&partition, committed);
        self.stays().insert(partition, Stay { assignment, places, others });
        of_pipelines
    }

    /// Pipelines that run elsewhere, or ran and may come back.
    fn others(&self, partition: &Partition, committed: Option<LastCommit>) -> BTreeMap<String, Place> {
        let mut others = committed.map(|last| last.note.pipelines).unwrap_or_default();
        others.retain(|name, _| !self.pipelines.contains(name));
        while self.pipelines.len() + others.len() > PIPELINES_MAX {
            let Some((pipeline, place)) = others.pop_last() else { break };
            tracing::warn!(%partition, pipeline, ?place, "too many pipelines were in this group, one is forgotten");
        }
        others
    }

    /// Ends the stays.
    pub(crate) fn revoked(&self, revoked: &[(Partition, Assignment)]) {
        let mut stays = self.stays();
        for (partition, assignment) in revoked {
            if stays.get(partition).is_some_and(|stay| stay.assignment <= *assignment) {
                stays.remove(partition);
            }
        }
    }

    /// What the group is to commit now that one pipeline has written up to `place`; none when the stay is over. An error of
    /// the commit takes nothing back: it may have been carried out, and what is written stays written.
    fn advance(&self, partition: &Partition, covered: &Covered, index: usize, place: Place) -> Option<GroupPosition> {
        let mut stays = self.stays();
        let stay = stays.get_mut(partition).filter(|stay| stay.assignment == covered.assignment)?;
        stay.places[index] = place;
        let Place { position, note: first } = *stay.places.iter().min_by_key(|place| place.position)?;
        let mut pipelines = stay.others.clone();
        if stay.places.len() > 1 || !pipelines.is_empty() {
            pipelines.extend(self.pipelines.iter().cloned().zip(stay.places.iter().copied()));
        }
        let note = GroupNote { first, pipelines };
        Some(GroupPosition { partition: partition.clone(), assignment: stay.assignment, position, note })
    }
}

/// Where a group is when one of its pipelines is put somewhere by hand and the others stay. `pipelines` are those that share
/// the group; one that is in no note is where the group is, and where the group is nowhere, all begin at `place`.
pub fn moved(last: Option<&LastCommit>, pipelines: &[String], pipeline: &str, place: Place) -> LastCommit {
    let of = |name: &String| last.map_or(place, |last| last.place_of(name));
    let mut places: BTreeMap<String, Place> = pipelines.iter().map(|name| (name.clone(), of(name))).collect();
    places.extend(last.map(|last| last.note.pipelines.clone()).unwrap_or_default());
    places.insert(pipeline.to_owned(), place);
    let Place { position, note: first } = places.values().copied().min_by_key(|place| place.position).unwrap_or(place);
    if places.len() == 1 {
        places.clear();
    }
    LastCommit { position, note: GroupNote { first, pipelines: places } }
}

impl Committed {
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    pub fn notes(&self) -> &[(Partition, CommitNote)] {
        &self.notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: i64) -> Place {
        Place { position, note: Some(CommitNote { orig_message_ts: position as f64, received_p99: None }) }
    }

    fn last(position: i64, pipelines: &[(&str, i64)]) -> LastCommit {
        let pipelines = pipelines.iter().map(|(name, position)| ((*name).to_owned(), at(*position))).collect();
        LastCommit { position, note: GroupNote { first: at(position).note, pipelines } }
    }

    #[test]
    fn a_pipeline_that_is_moved_moves_the_group_only_as_far_as_the_last() {
        let both = ["a".to_owned(), "b".to_owned()];
        for (before, pipelines, to, expected) in [
            (Some(last(50, &[])), &both[..1], 20, last(20, &[])),
            (None, &both[..1], 20, last(20, &[])),
            (Some(last(50, &[])), &both, 20, last(20, &[("a", 20), ("b", 50)])),
            (Some(last(50, &[])), &both, 80, last(50, &[("a", 80), ("b", 50)])),
            (Some(last(50, &[("a", 50), ("b", 70)])), &both, 80, last(70, &[("a", 80), ("b", 70)])),
            (Some(last(50, &[("a", 50), ("gone", 40)])), &both[..1], 60, last(40, &[("a", 60), ("gone", 40)])),
            (None, &both, 20, last(20, &[("a", 20), ("b", 20)])),
        ] {
            assert_eq!(moved(before.as_ref(), pipelines, "a", at(to)), expected, "{before:?} to {to}");
        }
    }
}
