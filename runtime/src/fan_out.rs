//! One source for several pipelines: what is read is handed to each, from where that one is.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::message::MessageBatch;
use crate::offset::{Assignment, Partition};
use crate::select::Select;
use crate::share::{Group, Share};
use crate::source::{Assigned, Commit, Event, Flush};

/// A pipeline that takes part in a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Taker {
    pub pipeline: String,
    /// What it takes of what is read; all if none.
    pub select: Option<Select>,
}

/// A source as one pipeline sees it.
pub struct Branch<C> {
    pub events: mpsc::UnboundedReceiver<Event>,
    pub share: Share<C>,
}

/// Hands out what a source sends.
struct FanOut<C> {
    group: Arc<Group<C>>,
    outlets: Vec<Outlet>,
}

/// The way to one pipeline.
struct Outlet {
    events: mpsc::UnboundedSender<Event>,
    select: Option<Select>,
    /// Where it starts, of partitions in which others start earlier and which were not read so far yet.
    starts: BTreeMap<Partition, i64>,
}

/// A branch for each taker, in their order, and what feeds them: to be run until it ends, which is when the source does.
pub fn fan_out<C: Commit>(
    source: mpsc::UnboundedReceiver<Event>,
    committer: C,
    takers: Vec<Taker>,
) -> (Vec<Branch<C>>, impl Future<Output = ()> + Send + 'static) {
    let (group, shares) = Share::all(committer, takers.iter().map(|taker| taker.pipeline.clone()).collect());
    let branch = |(taker, share): (Taker, Share<C>)| {
        let (sender, events) = mpsc::unbounded_channel();
        (Outlet { events: sender, select: taker.select, starts: BTreeMap::new() }, Branch { events, share })
    };
    let (outlets, branches) = takers.into_iter().zip(shares).map(branch).unzip();
    (branches, FanOut { group, outlets }.run(source))
}

impl<C: Commit> FanOut<C> {
    async fn run(mut self, mut source: mpsc::UnboundedReceiver<Event>) {
        while let Some(event) = source.recv().await {
            match event {
                Event::Assigned(assigned) => self.assigned(assigned),
                Event::Messages(batch) => self.messages(batch),
                Event::Flush(flush) => self.flush(flush),
                Event::Revoked(revoked) => self.revoked(revoked),
            }
        }
    }

    fn assigned(&mut self, assigned: Vec<Assigned>) {
        let mut of_pipelines = vec![Vec::new(); self.outlets.len()];
        for assigned in assigned {
            let read_from = assigned.position;
            for (index, own) in self.group.assigned(assigned).into_iter().enumerate() {
                if own.position > read_from {
                    self.outlets[index].starts.insert(own.partition.clone(), own.position);
                }
                of_pipelines[index].push(own);
            }
        }
        for (outlet, assigned) in self.outlets.iter().zip(of_pipelines) {
            outlet.send(Event::Assigned(assigned));
        }
    }

    fn messages(&mut self, batch: MessageBatch) {
        let Some((last, others)) = self.outlets.split_last_mut() else { return };
        for outlet in others {
            let taken = outlet.take(&batch).unwrap_or_else(|| batch.clone());
            outlet.messages(taken);
        }
        let taken = last.take(&batch).unwrap_or(batch);
        last.messages(taken);
    }

    /// Answered when all have answered.
    fn flush(&self, flush: Flush) {
        let answers = self.outlets.iter().map(|outlet| {
            let (done, answer) = oneshot::channel();
            outlet.send(Event::Flush(Flush { done }));
            answer
        });
        let answers = futures::future::try_join_all(answers.collect::<Vec<_>>());
        tokio::spawn(async move {
            if answers.await.is_ok() {
                // Nobody listens when its deadline has passed.
                let _ = flush.done.send(());
            }
        });
    }

    fn revoked(&mut self, revoked: Vec<(Partition, Assignment)>) {
        self.group.revoked(&revoked);
        for outlet in &mut self.outlets {
            outlet.starts.retain(|partition, _| revoked.iter().all(|(gone, _)| gone != partition));
            outlet.send(Event::Revoked(revoked.clone()));
        }
    }
}

impl Outlet {
    /// Its part of a batch; none: all of it.
    fn take(&mut self, batch: &MessageBatch) -> Option<MessageBatch> {
        if self.select.is_none() && self.starts.is_empty() {
            return None;
        }
        let start = |partition: &Partition| self.starts.get(partition).copied().unwrap_or(0);
        let taken = batch.taken(start, self.select.as_ref());
        self.starts.retain(|partition, start| {
            let reached = batch.runs.iter().filter(|run| run.partition == *partition).map(|run| run.end).max();
            reached.is_none_or(|end| end < *start)
        });
        Some(taken)
    }

    fn messages(&self, batch: MessageBatch) {
        if !batch.runs.is_empty() {
            self.send(Event::Messages(batch));
        }
    }

    /// Nobody listens any more when the pipeline was given up.
    fn send(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;
    use crate::message::Parts;
    use crate::offset::{Covered, Progress};
    use crate::source::{
        Acknowledged, CommitError, CommitNote, GroupNote, GroupPosition, LastCommit, Place, PositionError,
    };

    /// Takes every commit.
    #[derive(Clone, Default)]
    struct Broker(Arc<Mutex<Vec<GroupPosition>>>);

    impl Commit for Broker {
        async fn commit(&self, positions: &[GroupPosition]) -> Result<Acknowledged, CommitError> {
            self.0.lock().unwrap().extend_from_slice(positions);
            let taken = positions.iter().map(|position| position.partition.clone()).collect();
            Ok(Acknowledged { taken, abandoned: Vec::new() })
        }

        async fn committed(&self, partitions: &[Partition]) -> Result<Vec<Option<LastCommit>>, PositionError> {
            Ok(vec![None; partitions.len()])
        }

        fn holds(&self, _: &Partition, _: Assignment) -> bool {
            true
        }
    }

    fn partition() -> Partition {
        Partition::new("events", 0)
    }

    fn note(orig_message_ts: f64) -> CommitNote {
        CommitNote { orig_message_ts, received_p99: None }
    }

    fn place(position: i64) -> Place {
        Place { position, note: Some(note(position as f64)) }
    }

    /// Messages `from..to`.
    fn messages(from: i64, to: i64) -> Event {
        let mut batch = MessageBatch::default();
        batch.begin_run(partition(), Assignment(1), from);
        (from..to).for_each(|offset| batch.push(Parts { offset, ..Parts::default() }));
        Event::Messages(batch)
    }

    fn written(from: i64, to: i64) -> Progress {
        let covered = Covered {
            assignment: Assignment(1),
            range: crate::offset::Range::new(from, to),
            last_timestamp_ms: None,
            received_ms: Vec::new(),
            counts: Default::default(),
        };
        [(partition(), covered)].into_iter().collect()
    }

    /// Pipelines `a` and `b` of a group whose last commit is at 100, with these notes beside it.
    struct Shared {
        broker: Broker,
        events: mpsc::UnboundedSender<Event>,
        branches: Vec<Branch<Broker>>,
    }

    impl Shared {
        fn new(pipelines: &[(&str, Place)], read_from: i64) -> Self {
            let broker = Broker::default();
            let (events, source) = mpsc::unbounded_channel();
            let taker = |pipeline: &str| Taker { pipeline: pipeline.to_owned(), select: None };
            let (branches, feed) = fan_out(source, broker.clone(), vec![taker("a"), taker("b")]);
            tokio::spawn(feed);
            let pipelines = pipelines.iter().map(|(name, place)| ((*name).to_owned(), *place)).collect();
            let committed = LastCommit { position: 100, note: GroupNote { first: Some(note(100.0)), pipelines } };
            let assigned = Assigned {
                partition: partition(),
                assignment: Assignment(1),
                position: read_from,
                committed: Some(committed),
            };
            events.send(Event::Assigned(vec![assigned])).unwrap();
            Self { broker, events, branches }
        }

        /// The position that the branch starts from, and whose note it has.
        async fn start(&mut self, branch: usize) -> (i64, Option<CommitNote>) {
            match self.branches[branch].events.recv().await {
                Some(Event::Assigned(assigned)) => {
                    let committed = assigned[0].committed.as_ref().unwrap();
                    assert_eq!(committed.position, assigned[0].position);
                    (assigned[0].position, committed.note.first)
                }
                other => panic!("{other:?}"),
            }
        }

        async fn offsets(&mut self, branch: usize) -> Vec<i64> {
            match self.branches[branch].events.recv().await {
                Some(Event::Messages(batch)) => batch.iter().map(|message| message.offset).collect(),
                other => panic!("{other:?}"),
            }
        }

        /// What the group commits when the branch has written so far.
        async fn commit(&self, branch: usize, from: i64, to: i64) -> GroupPosition {
            let notes = vec![(partition(), note(to as f64))];
            self.branches[branch].share.acknowledged(&written(from, to), &notes).await.unwrap();
            self.broker.0.lock().unwrap().last().unwrap().clone()
        }
    }

    #[tokio::test]
    async fn each_goes_on_where_it_was() {
        let mut shared = Shared::new(&[("a", place(104)), ("b", place(100))], 100);
        assert_eq!(shared.start(0).await, (104, Some(note(104.0))));
        assert_eq!(shared.start(1).await, (100, Some(note(100.0))));
        for (from, to) in [(100, 103), (103, 106), (106, 107)] {
            shared.events.send(messages(from, to)).unwrap();
        }
        assert_eq!([shared.offsets(0).await, shared.offsets(0).await], [vec![104, 105], vec![106]]);
        assert_eq!([shared.offsets(1).await, shared.offsets(1).await], [vec![100, 101, 102], vec![103, 104, 105]]);
    }

    #[tokio::test]
    async fn the_group_is_where_the_last_of_its_pipelines_is() {
        let shared = Shared::new(&[("gone", place(70))], 100);
        tokio::task::yield_now().await;
        let pipelines = |a, b| BTreeMap::from([("a".into(), a), ("b".into(), b), ("gone".to_owned(), place(70))]);
        let said = shared.commit(0, 100, 110).await;
        assert_eq!((said.position, said.note.first), (100, Some(note(100.0))));
        assert_eq!(said.note.pipelines, pipelines(place(110), place(100)));
        let said = shared.commit(1, 100, 105).await;
        assert_eq!((said.position, said.note.first), (105, Some(note(105.0))));
        assert_eq!(said.note.pipelines, pipelines(place(110), place(105)), "who does not run here keeps its place");
        let said = shared.commit(1, 105, 120).await;
        assert_eq!((said.position, said.note.first), (110, Some(note(110.0))));
    }

    #[tokio::test]
    async fn work_of_an_earlier_stay_is_not_committed() {
        let shared = Shared::new(&[], 100);
        shared.events.send(Event::Revoked(vec![(partition(), Assignment(1))])).unwrap();
        tokio::task::yield_now().await;
        shared.branches[0].share.acknowledged(&written(100, 110), &[]).await.unwrap();
        assert_eq!(*shared.broker.0.lock().unwrap(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flush_is_answered_when_all_have_answered() {
        let mut shared = Shared::new(&[], 100);
        let (done, mut answer) = oneshot::channel();
        shared.events.send(Event::Flush(Flush { done })).unwrap();
        for branch in [0, 1] {
            shared.start(branch).await;
            // Whoever would answer too early has time to do so.
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert!(answer.try_recv().is_err(), "branch {branch} has not answered");
            match shared.branches[branch].events.recv().await {
                Some(Event::Flush(flush)) => flush.done.send(()).unwrap(),
                other => panic!("{other:?}"),
            }
        }
        answer.await.unwrap();
        let (done, answer) = oneshot::channel();
        shared.events.send(Event::Flush(Flush { done })).unwrap();
        shared.branches.pop();
        let answer = tokio::time::timeout(Duration::from_secs(10), answer).await.unwrap();
        assert!(answer.is_err(), "one of them is gone");
    }
}
