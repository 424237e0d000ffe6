//! The state of everything, what may happen next, and what must never be.

use std::collections::BTreeSet;

use stateright::{Model, Property};

use crate::host::{Entry, Group, Rewind};
use crate::reader::Reader;

/// How often each fault may happen, and how much there is of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bounds {
    pub messages: i64,
    pub groups: usize,
    pub partitions: usize,
    /// Members that are replaced while they live on as zombies.
    pub takeovers: u8,
    /// Records that are never written to the log.
    pub losses: u8,
    pub duplicates: u8,
    pub compactions: u8,
    pub rewinds: u8,
    pub recreations: u8,
    /// Of the follower.
    pub restarts: u8,
    pub rebalances: u8,
    pub pauses: u8,
    /// Questions without an answer.
    pub failures: u8,
    /// Rows become durable out of order.
    pub overlap: bool,
}

impl Bounds {
    pub const NONE: Self = Self {
        messages: 0,
        groups: 0,
        partitions: 0,
        takeovers: 0,
        losses: 0,
        duplicates: 0,
        compactions: 0,
        rewinds: 0,
        recreations: 0,
        restarts: 0,
        rebalances: 0,
        pauses: 0,
        failures: 0,
        overlap: false,
    };
}

/// What is taken away to see that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guard {
    PublishAfterDurable,
    CommitOfThePrefix,
    PublishAfterCommit,
    FencedCommits,
    MinimumOfGroups,
    ClosedByDefault,
    Maximum,
    Loading,
    MessageInHand,
    CommitOfTheDelivered,
    Pauses,
    OtherPartitions,
    Heartbeat,
    Repair,
    TopicId,
    Confirmation,
    Epoch,
    Barrier,
    ResetBeforePublish,
}

#[derive(Clone, Debug)]
pub struct World {
    pub bounds: Bounds,
    /// The follower asks groups what they have committed.
    pub repair: bool,
    /// Records name their topic.
    pub ids: bool,
    pub heartbeat: bool,
    pub without: Option<Guard>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// By partition, then by group.
    pub groups: Vec<Vec<Group>>,
    pub log: Vec<Entry>,
    pub next_seq: u8,
    /// Which of the topics of the name there is.
    pub topic: u8,
    pub rewind: Rewind,
    pub follower: Option<Reader>,
    /// What the follower has committed for itself, by partition.
    pub own: Vec<i64>,
    /// The position after the last message that any follower delivered, by partition.
    pub delivered: Vec<i64>,
    pub left: Bounds,
    /// The number of the invariant that was broken.
    pub broken: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Write { partition: usize, group: usize, offset: i64 },
    Commit { partition: usize, group: usize, member: usize },
    Publish { partition: usize, group: usize, member: usize },
    Lose { partition: usize, group: usize, member: usize },
    TakeOver { partition: usize, group: usize },
    Double(usize),
    Compact(usize),
    Rewind,
    Recreate,
    Start,
    Crash,
    Rebalance,
    ReadLog,
    ReadMessage(usize),
    CommitOwn(usize),
    Describe,
    Serve(usize),
    Answer(usize),
    Fail(usize),
    Tick,
    Pause(usize),
    Resume(usize),
}

pub const GOAL: &str = "everything is delivered";

const TRUTH: &str = "1 truth: what is published is durable";
const PREFIX: &str = "2 prefix: what is committed is durable";
const ORDER: &str = "3 order: what is published is committed";
const SAFETY: &str = "4 safety: what is delivered is durable";
const CLOSED: &str = "5 closed by default";
const ZOMBIE: &str = "7 an old record or member changes nothing";
const LOAD: &str = "8 nothing before the log is loaded";
const NO_GAP: &str = "9 in order, without gaps";
const NO_LOSS: &str = "10 nothing is lost between two followers";
const PAUSE: &str = "11 pauses are kept, partitions are independent";
const LIVENESS: &str = "12 what is committed is delivered in the end";
const IDENTITY: &str = "14 an earlier topic opens nothing";
const REWOUND: &str = "15 nothing that was taken back";

impl Guard {
    /// Each with what is broken without it, and in which of the worlds.
    pub fn all() -> Vec<(Self, &'static str, Option<usize>)> {
        vec![
            (Self::PublishAfterDurable, TRUTH, Some(0)),
            (Self::CommitOfThePrefix, PREFIX, Some(4)),
            (Self::PublishAfterCommit, ORDER, Some(0)),
            (Self::FencedCommits, ZOMBIE, Some(0)),
            (Self::MinimumOfGroups, SAFETY, Some(2)),
            (Self::ClosedByDefault, CLOSED, Some(0)),
            (Self::Maximum, ZOMBIE, Some(0)),
            (Self::Loading, LOAD, Some(5)),
            (Self::MessageInHand, NO_GAP, Some(0)),
            (Self::CommitOfTheDelivered, NO_LOSS, Some(0)),
            (Self::Pauses, PAUSE, Some(3)),
            (Self::OtherPartitions, PAUSE, Some(3)),
            (Self::Heartbeat, LIVENESS, Some(0)),
            (Self::Repair, LIVENESS, Some(1)),
            (Self::TopicId, IDENTITY, Some(6)),
            (Self::Confirmation, IDENTITY, Some(7)),
            (Self::Epoch, REWOUND, Some(5)),
            (Self::Barrier, REWOUND, Some(5)),
            (Self::ResetBeforePublish, REWOUND, Some(5)),
        ]
    }

    pub fn taken_from(self, world: World) -> World {
        let heartbeat = world.heartbeat && self != Self::Heartbeat;
        let repair = world.repair && !matches!(self, Self::Repair | Self::Confirmation);
        World { heartbeat, repair, without: Some(self), ..world }
    }
}

impl World {
    pub fn is_without(&self, guard: Guard) -> bool {
        self.without == Some(guard)
    }
}

impl State {
    pub fn break_invariant(&mut self, number: u8) {
        self.broken.get_or_insert(number);
    }

    /// What is delivered must be durable by every group, now.
    pub fn check_delivery(&mut self, partition: usize, offset: i64) {
        let durable = self.groups[partition].iter().all(|group| group.is_durable(offset));
        let spared = (self.rewind.was_begun(), self.topic > 0);
        match (durable, spared) {
            (true, _) => {}
            (false, (true, _)) => self.break_invariant(15),
            (false, (_, true)) => self.break_invariant(14),
            (false, _) => self.break_invariant(4),
        }
    }

    /// Whether nothing of the host is left to do: all is written, committed and said, as far as it was not lost.
    fn is_host_done(&self, messages: i64) -> bool {
        let done = |group: &Group| group.is_done(messages);
        self.rewind.is_over() && self.groups.iter().flatten().all(done)
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let Bounds { partitions, groups, .. } = self.bounds;
        vec![State {
            groups: vec![vec![Group::new(); groups]; partitions],
            log: Vec::new(),
            next_seq: 0,
            topic: 0,
            rewind: Rewind::Idle,
            follower: None,
            own: vec![0; partitions],
            delivered: vec![0; partitions],
            left: self.bounds,
            broken: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        self.host_actions(state, actions);
        self.reader_actions(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        if !self.host_step(&mut state, &action) {
            self.reader_step(&mut state, &action);
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(TRUTH, |_, state: &State| state.broken != Some(1)),
            Property::always(PREFIX, |_, state: &State| state.broken != Some(2)),
            Property::always(ORDER, |_, state: &State| state.broken != Some(3)),
            Property::always(SAFETY, |_, state: &State| state.broken != Some(4)),
            Property::always(CLOSED, |_, state: &State| state.broken != Some(5)),
            Property::always(ZOMBIE, |_, state: &State| state.broken != Some(7)),
            Property::always(LOAD, |_, state: &State| state.broken != Some(8)),
            Property::always(NO_GAP, |_, state: &State| state.broken != Some(9)),
            Property::always(NO_LOSS, |_, state: &State| state.broken != Some(10)),
            Property::always(PAUSE, |world: &World, state: &State| {
                state.broken != Some(11) && world.partitions_are_independent(state)
            }),
            Property::always(LIVENESS, is_never_stuck),
            Property::always(IDENTITY, |_, state: &State| state.broken != Some(14)),
            Property::always(REWOUND, |_, state: &State| state.broken != Some(15)),
            Property::sometimes(GOAL, |world: &World, state: &State| {
                state.delivered.iter().all(|delivered| *delivered == world.bounds.messages)
            }),
        ]
    }
}

/// From a state in which the host is done, a follower that goes on without further faults delivers everything.
fn is_never_stuck(world: &World, state: &State) -> bool {
    if state.broken.is_some() || state.follower.is_none() || !state.is_host_done(world.bounds.messages) {
        return true;
    }
    let mut state = state.clone();
    if world.heartbeat {
        state.say_all_again(world);
    }
    let mut seen = BTreeSet::new();
    while let Some(action) = world.fair_action(&state, &mut seen) {
        world.reader_step(&mut state, &action);
        if state.broken.is_some() {
            // Found again by the search itself, under its own name.
            return true;
        }
    }
    let follower = state.follower.expect("fair actions keep it");
    follower.next.iter().all(|next| *next >= world.bounds.messages)
}
