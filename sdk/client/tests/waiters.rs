//! The waiters against the plainest way to say the same: after every input, all waits are looked at one by one.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tidegate_client::{Fact, Key, Partition, Record, Token, Wait, WaitInput, WaitOutput, Waiters, Watermarks};

const GROUPS: [&str; 3] = ["f", "g", "h"];

#[derive(Clone, Debug)]
enum Step {
    Record { partition: i32, group: usize, epoch: u64, offset: i64 },
    Wait { partition: i32, position: i64, groups: BTreeSet<usize>, timeout_ms: u64 },
    Cancel(prop::sample::Index),
    Loaded,
    Pass { ms: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let record = (0..2i32, 0..3usize, 0..2u64, 0..20i64);
    let wait = (0..2i32, 0..20i64, proptest::collection::btree_set(0..3usize, 1..4), 1..50u64);
    let step = prop_oneof![
        6 => record.prop_map(|(partition, group, epoch, offset)| Step::Record { partition, group, epoch, offset }),
        6 => wait.prop_map(|(partition, position, groups, timeout_ms)| Step::Wait { partition, position, groups, timeout_ms }),
        1 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        1 => Just(Step::Loaded),
        2 => (1..20u64).prop_map(|ms| Step::Pass { ms }),
    ];
    proptest::collection::vec(step, 0..80)
}

#[derive(Default)]
struct Plain {
    log: Watermarks,
    waits: BTreeMap<u64, Wait>,
}

impl Plain {
    fn is_done(&self, Wait { token, groups, .. }: &Wait) -> bool {
        let Token { partition, position } = token;
        groups.iter().all(|group| {
            let key = Key { topic: partition.topic.to_string(), partition: partition.number, group: group.clone() };
            self.log.is_loaded() && self.log.mark(&key).is_some_and(|mark| mark.position >= *position)
        })
    }

    /// What ends at this moment: done first, then what is late.
    fn take_ended(&mut self, now_ms: u64) -> (BTreeSet<u64>, BTreeSet<u64>) {
        let done: BTreeSet<_> = self.waits.iter().filter(|(_, wait)| self.is_done(wait)).map(|(id, _)| *id).collect();
        let late = |(id, wait): (&u64, &Wait)| (wait.deadline_ms <= now_ms && !done.contains(id)).then_some(*id);
        let late: BTreeSet<_> = self.waits.iter().filter_map(late).collect();
        self.waits.retain(|id, _| !done.contains(id) && !late.contains(id));
        (done, late)
    }
}

proptest! {
    #[test]
    fn every_wait_ends_when_it_should(steps in steps()) {
        let (mut waiters, mut plain, mut now_ms) = (Waiters::new(None), Plain::default(), 0);
        plain.log.set_partitions(1);
        waiters.handle(WaitInput::Fact(Fact::LogPartitions(1)), 0);
        for (id, step) in (0..).zip(steps) {
            let input = match step {
                Step::Record { partition, group, epoch, offset } => {
                    let (topic, group) = ("t".into(), GROUPS[group].into());
                    let record = Record { topic, partition, group, epoch, offset, ..Record::default() };
                    plain.log.record(&record);
                    WaitInput::Fact(Fact::Record(record))
                }
                Step::Wait { partition, position, groups, timeout_ms } => {
                    let groups = groups.into_iter().map(|group| GROUPS[group].to_owned()).collect();
                    let token = Token { partition: Partition::new("t", partition), position };
                    let wait = Wait { token, groups, deadline_ms: now_ms + timeout_ms };
                    plain.waits.insert(id, wait.clone());
                    WaitInput::Wait { id, wait }
                }
                Step::Cancel(which) => {
                    let ids: Vec<_> = plain.waits.keys().copied().collect();
                    let id = if ids.is_empty() { id } else { ids[which.index(ids.len())] };
                    plain.waits.remove(&id);
                    WaitInput::Cancel(id)
                }
                Step::Loaded => {
                    plain.log.end(0);
                    WaitInput::Fact(Fact::LogEnd(0))
                }
                Step::Pass { ms } => {
                    now_ms += ms;
                    WaitInput::Tick
                }
            };
            let (mut done, mut late) = (BTreeSet::new(), BTreeSet::new());
            for output in waiters.handle(input, now_ms) {
                match output {
                    WaitOutput::Done(id) => prop_assert!(done.insert(id)),
                    WaitOutput::TimedOut { id, .. } => prop_assert!(late.insert(id)),
                    WaitOutput::Describe(_) => {}
                    WaitOutput::Ask(key) => prop_assert!(false, "nobody is asked, {key:?}"),
                }
            }
            prop_assert_eq!((done, late), plain.take_ended(now_ms));
            prop_assert_eq!(waiters.len(), plain.waits.len());
        }
    }
}
