//! Whoever drives the follower: reads the log and the topic, answers its questions, and looks at what it delivers. Here its
//! guards are taken away.

use std::collections::BTreeSet;

use tidegate_client::{Fact, Follower, Input, Key, Output, Partition, Record};

use crate::host::Entry;
use crate::world::{Action, Guard, State, World};

const GROUPS: [&str; 2] = ["g", "h"];

/// A follower that runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reader {
    machine: Follower,
    /// Where it reads the commit log.
    next_seq: u8,
    /// The end of the log when it started.
    load_to: u8,
    is_loaded: bool,
    /// The highest (epoch, position) it was told, by partition, group and topic.
    told: Vec<(Subject, (u8, i64))>,
    /// Where it reads, by partition.
    read: Vec<i64>,
    /// The position after what was delivered in this assignment, by partition.
    pub next: Vec<i64>,
    asks: Vec<Ask>,
    describe: bool,
    paused: BTreeSet<usize>,
}

/// Partition, group, and which topic of the name.
type Subject = (usize, usize, u8);

/// A question, and what the broker has answered, once it did.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Ask {
    partition: usize,
    group: usize,
    served: Option<Option<i64>>,
}

impl Reader {
    /// Whether it has read the log up to there.
    pub fn has_read(&self, seq: u8) -> bool {
        self.is_loaded && self.next_seq == seq
    }

    /// Whether it knows of this epoch of group 0 in partition 0, or is closed until it has read all of the log.
    pub fn acknowledges(&self, epoch: u8) -> bool {
        !self.is_loaded
            || self.told.iter().any(|((number, group, _), mark)| (*number, *group) == (0, 0) && mark.0 >= epoch)
    }
}

fn partition(number: usize) -> Partition {
    Partition::new("t", number as i32)
}

fn key(partition: usize, group: usize) -> Key {
    Key { topic: "t".into(), partition: partition as i32, group: GROUPS[group].into() }
}

impl World {
    pub fn reader_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let Some(follower) = &state.follower else {
            return actions.push(Action::Start);
        };
        actions.push(Action::ReadLog);
        if state.left.restarts > 0 {
            actions.push(Action::Crash);
        }
        if state.left.rebalances > 0 {
            actions.push(Action::Rebalance);
        }
        if follower.describe {
            actions.push(Action::Describe);
        }
        if self.repair {
            actions.push(Action::Tick);
        }
        for (at, ask) in follower.asks.iter().enumerate() {
            actions.push(if ask.served.is_some() { Action::Answer(at) } else { Action::Serve(at) });
            if state.left.failures > 0 {
                actions.push(Action::Fail(at));
            }
        }
        for number in 0..self.bounds.partitions {
            if self.is_readable(state, number) {
                actions.push(Action::ReadMessage(number));
            }
            if state.own[number] < follower.next[number] && state.left.restarts + state.left.rebalances > 0 {
                actions.push(Action::CommitOwn(number));
            }
            if follower.paused.contains(&number) {
                actions.push(Action::Resume(number));
            } else if state.left.pauses > 0 {
                actions.push(Action::Pause(number));
            }
        }
    }

    /// Whether every partition that is not paused and has nothing in hand is read.
    pub fn partitions_are_independent(&self, state: &State) -> bool {
        let Some(reader) = &state.follower else { return true };
        let in_hand: BTreeSet<_> = reader.machine.in_hand().map(|(partition, _)| partition.number as usize).collect();
        (0..self.bounds.partitions).all(|number| {
            let is_free = !reader.paused.contains(&number) && !in_hand.contains(&number);
            !is_free || reader.read[number] == self.bounds.messages || self.is_readable(state, number)
        })
    }

    fn is_readable(&self, state: &State, number: usize) -> bool {
        let Some(follower) = &state.follower else { return false };
        let any_in_hand = follower.machine.in_hand().next().is_some();
        let blocked = self.is_without(Guard::OtherPartitions) && any_in_hand;
        let wanted = follower.machine.readable().any(|readable| *readable == partition(number));
        wanted && !blocked && follower.read[number] < self.bounds.messages
    }

    pub fn reader_step(&self, state: &mut State, action: &Action) {
        match *action {
            Action::Start => self.start(state),
            Action::Crash => {
                state.left.restarts -= 1;
                state.follower = None;
            }
            Action::Rebalance => {
                state.left.rebalances -= 1;
                self.reassign(state);
            }
            Action::ReadLog => self.read_log(state),
            Action::ReadMessage(number) => self.read_message(state, number),
            Action::CommitOwn(number) => self.commit_own(state, number),
            Action::Describe => {
                let topic = state.topic.to_string();
                follower(state).describe = false;
                self.learn(state, Fact::Topic { name: "t".into(), id: topic });
            }
            Action::Serve(at) => {
                let Ask { partition, group, .. } = follower(state).asks[at];
                let committed = state.groups[partition][group].committed;
                follower(state).asks[at].served = Some(committed);
            }
            Action::Answer(at) => {
                let Ask { partition, group, served } = follower(state).asks.remove(at);
                let position = served.expect("it was served");
                self.learn(state, Fact::Committed { key: key(partition, group), position });
            }
            Action::Fail(at) => {
                state.left.failures -= 1;
                let Ask { partition, group, .. } = follower(state).asks.remove(at);
                self.learn(state, Fact::AskFailed(key(partition, group)));
            }
            Action::Tick => self.handle(state, Input::Tick),
            Action::Pause(number) => {
                state.left.pauses -= 1;
                follower(state).paused.insert(number);
                if !self.is_without(Guard::Pauses) {
                    self.handle(state, Input::Pause(vec![partition(number)]));
                }
            }
            Action::Resume(number) => {
                follower(state).paused.remove(&number);
                self.handle(state, Input::Resume(vec![partition(number)]));
            }
            _ => {}
        }
    }

    fn start(&self, state: &mut State) {
        let groups = if self.is_without(Guard::MinimumOfGroups) { 1 } else { self.bounds.groups };
        let names = GROUPS[..groups].iter().map(|name| (*name).to_owned()).collect();
        state.follower = Some(Reader {
            machine: Follower::new(names, self.repair.then_some(0)),
            next_seq: 0,
            load_to: state.next_seq,
            is_loaded: false,
            told: Vec::new(),
            read: Vec::new(),
            next: Vec::new(),
            asks: Vec::new(),
            describe: false,
            paused: BTreeSet::new(),
        });
        self.learn(state, Fact::LogPartitions(1));
        if self.is_without(Guard::Loading) {
            self.learn(state, Fact::LogEnd(0));
        }
        if self.is_without(Guard::ClosedByDefault) {
            self.learn(state, Fact::Record(self.record(0, 0, 0, self.bounds.messages, state.topic)));
        }
        self.assign(state);
    }

    fn assign(&self, state: &mut State) {
        for number in 0..self.bounds.partitions {
            // What was not delivered would be lost.
            if state.own[number] > state.delivered[number] {
                state.break_invariant(10);
            }
        }
        let own = state.own.clone();
        let reader = follower(state);
        reader.paused.clear();
        (reader.read, reader.next) = (own.clone(), own);
        self.handle(state, Input::Assigned((0..self.bounds.partitions).map(partition).collect()));
    }

    pub fn reassign(&self, state: &mut State) {
        if state.follower.is_some() {
            self.handle(state, Input::Revoked((0..self.bounds.partitions).map(partition).collect()));
            self.assign(state);
        }
    }

    fn record(&self, number: usize, group: usize, epoch: u8, offset: i64, topic: u8) -> Record {
        let Key { topic: name, partition, group } = key(number, group);
        let topic_id = (self.ids && !self.is_without(Guard::TopicId)).then(|| topic.to_string());
        let epoch = if self.is_without(Guard::Epoch) { 0 } else { epoch.into() };
        Record { topic: name, partition, group, offset, epoch, topic_id, ..Record::default() }
    }

    /// The next record, or the end of the log.
    fn read_log(&self, state: &mut State) {
        let reader = state.follower.as_ref().expect("it runs");
        let Some(entry) = state.log.iter().find(|entry| entry.seq >= reader.next_seq).cloned() else {
            let end = state.next_seq;
            let reader = follower(state);
            (reader.next_seq, reader.is_loaded) = (end, true);
            return self.learn(state, Fact::LogEnd(0));
        };
        let Entry { seq, partition: number, group, epoch, position, topic } = entry;
        let mut record = self.record(number, group, epoch, position, topic);
        if self.is_without(Guard::Maximum) {
            record.epoch = seq.into();
        }
        let reader = follower(state);
        reader.next_seq = seq + 1;
        let before = reader.machine.watermark(&partition(number));
        let is_old = reader.tell((number, group, topic), (epoch, position));
        self.learn(state, Fact::Record(record));
        let after = state.follower.as_ref().and_then(|reader| reader.machine.watermark(&partition(number)));
        if is_old && before != after && !self.is_without(Guard::Epoch) {
            state.break_invariant(7);
        }
    }

    fn read_message(&self, state: &mut State, number: usize) {
        let reader = follower(state);
        let offset = reader.read[number];
        reader.read[number] += 1;
        self.handle(state, Input::Message { partition: partition(number), offset });
        if self.is_without(Guard::MessageInHand) && follower(state).machine.in_hand().next().is_some() {
            // As if the message had been thrown away to read on.
            follower(state).read[number] = offset + 1;
            self.handle(state, Input::Assigned(vec![partition(number)]));
        }
    }

    fn commit_own(&self, state: &mut State, number: usize) {
        let Reader { read, next, .. } = follower(state);
        let position = if self.is_without(Guard::CommitOfTheDelivered) { read[number] } else { next[number] };
        state.own[number] = position;
    }

    fn learn(&self, state: &mut State, fact: Fact) {
        self.handle(state, Input::Fact(fact));
    }

    fn handle(&self, state: &mut State, input: Input) {
        for output in follower(state).machine.handle(input, 0) {
            match output {
                Output::Deliver { partition, offset } => self.delivered(state, partition.number as usize, offset),
                Output::Ask(Key { partition, group, .. }) => {
                    let group = GROUPS.iter().position(|name| **name == *group).expect("a group of ours");
                    follower(state).asks.push(Ask { partition: partition as usize, group, served: None });
                }
                Output::Describe(_) => follower(state).describe = true,
                Output::Hold { .. } | Output::Drop { .. } | Output::Report(_) => {}
            }
        }
    }

    fn delivered(&self, state: &mut State, number: usize, offset: i64) {
        let committed = state.groups[number].iter().all(|group| group.committed.is_some());
        let reader = follower(state);
        let Reader { next, paused, next_seq, load_to, told, .. } = reader;
        let known =
            (0..self.bounds.groups).all(|group| told.iter().any(|((of, by, _), _)| (*of, *by) == (number, group)));
        let (is_paused, is_loading) = (paused.contains(&number), next_seq < load_to);
        let in_order = offset == next[number];
        next[number] = offset + 1;
        let is_asked = self.repair && committed;
        if !known && !is_asked {
            state.break_invariant(5);
        }
        if is_loading {
            state.break_invariant(8);
        }
        if is_paused {
            state.break_invariant(11);
        }
        if !in_order {
            state.break_invariant(9);
        }
        state.check_delivery(number, offset);
        state.delivered[number] = state.delivered[number].max(offset + 1);
    }

    /// What a follower does that meets no further faults; none when nothing is left to do.
    pub fn fair_action(&self, state: &State, seen: &mut BTreeSet<Option<i64>>) -> Option<Action> {
        let follower = state.follower.as_ref()?;
        let has_more = state.log.iter().any(|entry| entry.seq >= follower.next_seq);
        if has_more || !follower.is_loaded {
            return Some(Action::ReadLog);
        }
        if follower.describe {
            return Some(Action::Describe);
        }
        if let Some(number) = follower.paused.first() {
            return Some(Action::Resume(*number));
        }
        if let Some(ask) = follower.asks.first() {
            return Some(if ask.served.is_some() { Action::Answer(0) } else { Action::Serve(0) });
        }
        if let Some(number) = (0..self.bounds.partitions).find(|number| self.is_readable(state, *number)) {
            return Some(Action::ReadMessage(number));
        }
        // Asked again once at every place where it may be stuck.
        let place = follower.machine.in_hand().map(|(_, offset)| offset).min();
        (self.repair && seen.insert(place)).then_some(Action::Tick)
    }
}

impl Reader {
    /// Whether it was told as much before.
    fn tell(&mut self, key: Subject, mark: (u8, i64)) -> bool {
        if let Some((_, highest)) = self.told.iter_mut().find(|(of, _)| *of == key) {
            let is_old = mark <= *highest;
            *highest = mark.max(*highest);
            return is_old;
        }
        self.told.push((key, mark));
        self.told.sort_unstable();
        false
    }
}

fn follower(state: &mut State) -> &mut Reader {
    state.follower.as_mut().expect("it runs")
}
