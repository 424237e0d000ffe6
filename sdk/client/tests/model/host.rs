//! The host as it promises to be: members of a group write, commit and publish, some live on as zombies; an operator sends a
//! group back; somebody makes the topic anew.

use crate::world::{Action, Guard, State, World};

/// A record in the commit log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    pub seq: u8,
    pub partition: usize,
    pub group: usize,
    pub epoch: u8,
    pub position: i64,
    /// Which topic of the name it is about.
    pub topic: u8,
}

/// What a group has done with one partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// A bit for each offset.
    durable: u8,
    pub committed: Option<i64>,
    /// The last is the one that the broker knows; the others are zombies.
    members: Vec<Member>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Member {
    topic: u8,
    epoch: u8,
    /// Everything before it is durable, as far as this member knows.
    written: i64,
    /// A record that is not acknowledged yet.
    pending: Option<i64>,
}

/// How far the operator is with sending group 0 of partition 0 back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rewind {
    Idle,
    Stopped { to: i64 },
    Reset { to: i64 },
    Published { to: i64, epoch: u8 },
    Truncated { to: i64 },
    Over,
}

impl Rewind {
    pub fn was_begun(self) -> bool {
        self != Self::Idle
    }

    pub fn is_over(self) -> bool {
        matches!(self, Self::Idle | Self::Over)
    }
}

impl Group {
    pub fn new() -> Self {
        let first = Member { topic: 0, epoch: 0, written: 0, pending: None };
        Self { durable: 0, committed: None, members: vec![first] }
    }

    pub fn is_durable(&self, offset: i64) -> bool {
        self.durable & (1 << offset) != 0
    }

    fn prefix(&self) -> i64 {
        i64::from(self.durable.trailing_ones())
    }

    pub fn is_done(&self, messages: i64) -> bool {
        let last = self.members.last();
        self.committed == Some(messages) && last.is_some_and(|member| member.pending.is_none())
    }
}

impl State {
    fn append(&mut self, partition: usize, group: usize, epoch: u8, position: i64, topic: u8) {
        self.log.push(Entry { seq: self.next_seq, partition, group, epoch, position, topic });
        self.next_seq += 1;
    }

    /// Every member that lives says again what it has committed.
    pub fn say_all_again(&mut self, world: &World) {
        for partition in 0..world.bounds.partitions {
            for group in 0..world.bounds.groups {
                let Group { committed, members, .. } = &self.groups[partition][group];
                if let (Some(position), Some(member)) = (*committed, members.last().cloned()) {
                    self.append(partition, group, member.epoch, position, member.topic);
                }
            }
        }
    }
}

impl World {
    pub fn host_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for partition in 0..self.bounds.partitions {
            for group in 0..self.bounds.groups {
                self.group_actions(state, partition, group, actions);
            }
        }
        for at in 0..state.log.len() {
            let entry = &state.log[at];
            let later = |other: &Entry| (other.partition, other.group) == (entry.partition, entry.group);
            if state.left.compactions > 0 && state.log[at + 1..].iter().any(later) {
                actions.push(Action::Compact(at));
            }
            if state.left.duplicates > 0 {
                actions.push(Action::Double(at));
            }
        }
        if self.may_rewind(state) {
            actions.push(Action::Rewind);
        }
        if state.left.recreations > 0 && (self.ids || is_calm(state)) {
            actions.push(Action::Recreate);
        }
    }

    fn group_actions(&self, state: &State, partition: usize, group: usize, actions: &mut Vec<Action>) {
        let of = &state.groups[partition][group];
        let is_stopped = partition == 0 && group == 0 && !state.rewind.is_over();
        if !is_stopped {
            let ahead = if self.bounds.overlap { 2 } else { 1 };
            let first = of.members.last().map_or(0, |member| member.written);
            let again = |offset: &i64| *offset == first || !of.is_durable(*offset);
            for offset in (first..self.bounds.messages).take(ahead).filter(again) {
                actions.push(Action::Write { partition, group, offset });
            }
            if state.left.takeovers > 0 {
                actions.push(Action::TakeOver { partition, group });
            }
        }
        for member in 0..of.members.len() {
            actions.push(Action::Commit { partition, group, member });
            if of.members[member].pending.is_some() {
                actions.push(Action::Publish { partition, group, member });
                if state.left.losses > 0 {
                    actions.push(Action::Lose { partition, group, member });
                }
            }
        }
    }

    fn may_rewind(&self, state: &State) -> bool {
        match state.rewind {
            Rewind::Idle => state.left.rewinds > 0 && state.groups[0][0].committed >= Some(1),
            Rewind::Published { epoch, .. } => {
                let behind = state.follower.as_ref().is_some_and(|follower| !follower.acknowledges(epoch));
                self.is_without(Guard::Barrier) || !behind
            }
            Rewind::Over => false,
            _ => true,
        }
    }

    /// Whether the action was the host's.
    pub fn host_step(&self, state: &mut State, action: &Action) -> bool {
        match *action {
            Action::Write { partition, group, offset } => self.write(state, partition, group, offset),
            Action::Commit { partition, group, member } => self.commit(state, partition, group, member),
            Action::Publish { partition, group, member } => self.publish(state, partition, group, member),
            Action::Lose { partition, group, member } => {
                state.left.losses -= 1;
                state.groups[partition][group].members[member].pending = None;
            }
            Action::TakeOver { partition, group } => {
                state.left.takeovers -= 1;
                let epoch = epoch_of_next(state, partition, group);
                let of = &mut state.groups[partition][group];
                let written = of.committed.unwrap_or(0);
                of.members.push(Member { topic: state.topic, epoch, written, pending: of.committed });
            }
            Action::Double(at) => {
                state.left.duplicates -= 1;
                let Entry { partition, group, epoch, position, topic, .. } = state.log[at];
                state.append(partition, group, epoch, position, topic);
            }
            Action::Compact(at) => {
                state.left.compactions -= 1;
                state.log.remove(at);
            }
            Action::Rewind => self.rewind(state),
            Action::Recreate => self.recreate(state),
            _ => return false,
        }
        true
    }

    fn write(&self, state: &mut State, partition: usize, group: usize, offset: i64) {
        let of = &mut state.groups[partition][group];
        of.durable |= 1 << offset;
        let prefix = of.prefix();
        let last = of.members.last_mut().expect("a group that writes has a member");
        last.written = prefix;
        if self.is_without(Guard::PublishAfterCommit) {
            last.pending = Some(prefix);
        }
    }

    fn commit(&self, state: &mut State, partition: usize, group: usize, member: usize) {
        let of = &mut state.groups[partition][group];
        let is_zombie = member + 1 < of.members.len();
        let mut position = of.members[member].written;
        if self.is_without(Guard::CommitOfThePrefix) {
            position = i64::from(8 - of.durable.leading_zeros());
        }
        let stopped = partition == 0 && group == 0 && !state.rewind.is_over();
        if (is_zombie && !self.is_without(Guard::FencedCommits)) || position == 0 || stopped {
            return;
        }
        let (before, prefix) = (of.committed, of.prefix());
        if before == Some(position) {
            return;
        }
        of.committed = Some(position);
        of.members[member].pending = Some(position + i64::from(self.is_without(Guard::PublishAfterDurable)));
        if before > Some(position) {
            state.break_invariant(7);
        }
        if position > prefix {
            state.break_invariant(2);
        }
    }

    fn publish(&self, state: &mut State, partition: usize, group: usize, member: usize) {
        let of = &mut state.groups[partition][group];
        let is_zombie = member + 1 < of.members.len();
        let Member { topic, epoch, pending, .. } = &mut of.members[member];
        let (topic, epoch, position) = (*topic, *epoch, pending.take().expect("a record that waits"));
        let (is_true, is_committed) = (position <= of.prefix(), Some(position) <= of.committed);
        let is_stopped = partition == 0 && group == 0 && !state.rewind.is_over();
        state.append(partition, group, epoch, position, topic);
        if !is_zombie && !is_stopped && !is_true {
            state.break_invariant(1);
        } else if !is_zombie && !is_stopped && !is_committed {
            state.break_invariant(3);
        }
    }

    fn rewind(&self, state: &mut State) {
        let epoch = state.groups[0][0].members.iter().map(|member| member.epoch).max().unwrap_or(0) + 1;
        let of = &mut state.groups[0][0];
        let resets_late = self.is_without(Guard::ResetBeforePublish);
        state.rewind = match state.rewind {
            Rewind::Idle => {
                state.left.rewinds -= 1;
                Rewind::Stopped { to: of.committed.expect("it was looked at") - 1 }
            }
            Rewind::Stopped { to } => {
                if !resets_late {
                    of.committed = Some(to);
                }
                Rewind::Reset { to }
            }
            Rewind::Reset { to } => {
                state.append(0, 0, epoch, to, state.topic);
                Rewind::Published { to, epoch }
            }
            Rewind::Published { to, .. } => {
                of.durable &= (1 << to) - 1;
                Rewind::Truncated { to }
            }
            Rewind::Truncated { to } => {
                of.committed = Some(to);
                of.members.push(Member { topic: state.topic, epoch, written: to, pending: Some(to) });
                Rewind::Over
            }
            Rewind::Over => Rewind::Over,
        };
    }

    fn recreate(&self, state: &mut State) {
        state.left.recreations -= 1;
        state.topic += 1;
        let topic = state.topic;
        for of in state.groups.iter_mut().flatten() {
            of.durable = 0;
            of.committed = None;
            of.members.push(Member { topic, epoch: 0, written: 0, pending: None });
        }
        state.own.fill(0);
        state.delivered.fill(0);
        self.reassign(state);
    }
}

/// The writers have nothing more to say, and the follower has read all of it. What is said or read later of a topic that is gone
/// can be told from what is true only by the topic's id.
fn is_calm(state: &State) -> bool {
    let is_read = state.follower.as_ref().is_none_or(|follower| follower.has_read(state.next_seq));
    is_read && state.groups.iter().flatten().flat_map(|of| &of.members).all(|member| member.pending.is_none())
}

/// A new member reads the last record of its key: where that says more than is committed, the group has gone back.
fn epoch_of_next(state: &State, partition: usize, group: usize) -> u8 {
    let of_key = |entry: &&Entry| (entry.partition, entry.group, entry.topic) == (partition, group, state.topic);
    let committed = state.groups[partition][group].committed.unwrap_or(0);
    let last = state.log.iter().rev().find(of_key);
    last.map_or(0, |entry| entry.epoch + u8::from(committed < entry.position))
}
