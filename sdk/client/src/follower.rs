//! The synchronized consumer as a state machine: facts and messages in, deliveries out. No I/O, no clock but the one that
//! is passed in. The numbers are the invariants in `sdk/client/README.md`.
//!
//! Whoever drives it reads a partition only while it is [`readable`](Follower::readable), gives every message it read to
//! [`handle`](Follower::handle), and does what comes out. A message that is not written yet stays in the hand of the
//! driver, one per partition, until a `Deliver` or `Drop` of it comes out: nothing is fetched twice and no other
//! partition waits (9, 11).

use std::collections::BTreeMap;

use tidegate_commit_log::{Key, Partition};

use crate::gate::{Fact, Gate, Touched};
use crate::watermark::Change;

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Of the commit log, a topic or a group.
    Fact(Fact),
    /// These partitions are ours from now on.
    Assigned(Vec<Partition>),
    /// These are not ours any more.
    Revoked(Vec<Partition>),
    /// The next message of a readable partition.
    Message {
        partition: Partition,
        offset: i64,
    },
    /// The user wants nothing of these until they are resumed. It holds for one assignment.
    Pause(Vec<Partition>),
    Resume(Vec<Partition>),
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// The message just read or in hand goes to the user.
    Deliver { partition: Partition, offset: i64 },
    /// The message just read stays in hand; the partition is not readable.
    Hold { partition: Partition, offset: i64 },
    /// The message just read or in hand is thrown away: its partition is not ours.
    Drop { partition: Partition, offset: i64 },
    /// What has this group committed? A [`Fact::Committed`] or [`Fact::AskFailed`] must follow.
    Ask(Key),
    /// What id has this topic? A [`Fact::Topic`] should follow where the broker knows.
    Describe(String),
    /// For the log of whoever runs this.
    Report(Report),
}

/// What somebody should know of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Report {
    /// A record of a higher epoch has taken back what was said: rows after `to` are being made anew.
    Rewound { key: Key, from: i64, to: i64 },
    /// The group has committed less than its records said: it went back by hand, or the topic was made anew. Only what is
    /// committed is delivered.
    CommittedBelow { key: Key, committed: Option<i64>, recorded: i64 },
    /// The partition's messages went back: the topic was made anew, or positions were reset. Closed until confirmed.
    WentBack { partition: Partition, offset: i64, expected: i64 },
}

/// See the module's text. Start with [`Follower::new`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Follower {
    groups: Vec<String>,
    repair_ms: Option<u64>,
    gate: Gate,
    assigned: BTreeMap<Partition, Held>,
    now_ms: u64,
}

/// A partition that is ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Held {
    /// Everything before it is written by all groups; 0 is closed.
    watermark: i64,
    /// No message before it may come any more.
    next: i64,
    is_paused: bool,
    in_hand: Option<InHand>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct InHand {
    offset: i64,
    since_ms: u64,
}

impl Held {
    fn is_readable(&self) -> bool {
        !self.is_paused && self.in_hand.is_none()
    }
}

impl Follower {
    /// Follows all of these groups: a message is delivered when the last of them has written it. With `repair_ms`, groups
    /// are asked what they have committed before a partition opens, and again when a message has been in hand for so
    /// many milliseconds (12).
    ///
    /// # Panics
    /// Without groups: there would be nothing to wait for.
    pub fn new(groups: Vec<String>, repair_ms: Option<u64>) -> Self {
        assert!(!groups.is_empty(), "a synchronized consumer follows at least one group");
        Self { groups, repair_ms, gate: Gate::new(repair_ms), assigned: BTreeMap::new(), now_ms: 0 }
    }

    /// Takes one input, at a time in milliseconds that never goes back. What comes out is in the order in which it has to
    /// be done.
    pub fn handle(&mut self, input: Input, now_ms: u64) -> Vec<Output> {
        self.now_ms = self.now_ms.max(now_ms);
        let mut out = Vec::new();
        match input {
            Input::Fact(fact) => self.learn(&fact, &mut out),
            Input::Assigned(partitions) => self.assign(partitions, &mut out),
            Input::Revoked(partitions) => self.revoke(partitions, &mut out),
            Input::Message { partition, offset } => self.message(partition, offset, &mut out),
            Input::Pause(partitions) => self.set_paused(&partitions, true, &mut out),
            Input::Resume(partitions) => self.set_paused(&partitions, false, &mut out),
            Input::Tick => self.ask_all(&mut out),
        }
        out
    }

    /// Partitions whose next message is wanted: ours, not paused, nothing in hand (11).
    pub fn readable(&self) -> impl Iterator<Item = &Partition> {
        self.assigned.iter().filter(|(_, held)| held.is_readable()).map(|(partition, _)| partition)
    }

    /// See [`readable`](Self::readable).
    pub fn is_readable(&self, partition: &Partition) -> bool {
        self.assigned.get(partition).is_some_and(Held::is_readable)
    }

    /// Everything before it is written by all groups; none when the partition is not ours or closed.
    pub fn watermark(&self, partition: &Partition) -> Option<i64> {
        self.assigned.get(partition).map(|held| held.watermark).filter(|watermark| *watermark > 0)
    }

    /// Partitions with a message in hand, and its offset.
    pub fn in_hand(&self) -> impl Iterator<Item = (&Partition, i64)> {
        self.assigned.iter().filter_map(|(partition, held)| Some((partition, held.in_hand.as_ref()?.offset)))
    }

    fn learn(&mut self, fact: &Fact, out: &mut Vec<Output>) {
        if matches!(fact, Fact::Record(record) if !self.groups.contains(&record.group)) {
            return;
        }
        let (touched, change) = self.gate.learn(fact);
        match touched {
            Touched::Nothing => {}
            Touched::Key(key) => {
                let partition = Partition::of(&key);
                if self.assigned.contains_key(&partition) {
                    self.report(&key, fact, change, out);
                    self.look(&partition, out);
                }
            }
            Touched::Everything => {
                self.ask_all(out);
                let all: Vec<_> = self.assigned.keys().cloned().collect();
                all.iter().for_each(|partition| self.look(partition, out));
            }
        }
    }

    fn report(&self, key: &Key, fact: &Fact, change: Change, out: &mut Vec<Output>) {
        if let Change::Rewound { from, to } = change {
            out.push(Output::Report(Report::Rewound { key: key.clone(), from, to }));
        }
        if let (Fact::Committed { .. }, Some((committed, recorded))) = (fact, self.gate.committed_below(key)) {
            out.push(Output::Report(Report::CommittedBelow { key: key.clone(), committed, recorded }));
        }
    }

    /// Starts closed, whatever an earlier assignment knew (5, 14).
    fn assign(&mut self, partitions: Vec<Partition>, out: &mut Vec<Output>) {
        self.revoke(partitions.clone(), out);
        let mut topics: Vec<_> = partitions.iter().map(|partition| partition.topic.clone()).collect();
        topics.sort();
        topics.dedup();
        for topic in topics {
            self.gate.forget_topic(&topic);
            out.push(Output::Describe(topic.to_string()));
            let others: Vec<_> = self.assigned.keys().filter(|other| other.topic == topic).cloned().collect();
            others.iter().for_each(|partition| self.look(partition, out));
        }
        for partition in partitions {
            self.keys(&partition).iter().for_each(|key| self.gate.unconfirm(key));
            self.assigned.insert(partition.clone(), Held::default());
            self.ask(&partition, out);
            self.look(&partition, out);
        }
    }

    fn revoke(&mut self, partitions: Vec<Partition>, out: &mut Vec<Output>) {
        for partition in partitions {
            if let Some(InHand { offset, .. }) = self.assigned.remove(&partition).and_then(|held| held.in_hand) {
                out.push(Output::Drop { partition, offset });
            }
        }
    }

    /// # Panics
    /// If there is a message of the partition in hand already: it was not readable.
    fn message(&mut self, partition: Partition, offset: i64, out: &mut Vec<Output>) {
        let Some(held) = self.assigned.get_mut(&partition) else {
            return out.push(Output::Drop { partition, offset });
        };
        assert!(held.in_hand.is_none(), "a message of {partition} was read while one is in hand");
        held.in_hand = Some(InHand { offset, since_ms: self.now_ms });
        let expected = held.next;
        if offset < expected {
            held.next = offset;
            self.went_back(&partition, offset, expected, out);
        }
        let delivered = out.len();
        self.look(&partition, out);
        if out.len() == delivered {
            out.push(Output::Hold { partition, offset });
        }
    }

    /// Nothing known of this partition is sure to be about the messages that come now (14).
    fn went_back(&mut self, partition: &Partition, offset: i64, expected: i64, out: &mut Vec<Output>) {
        out.push(Output::Report(Report::WentBack { partition: partition.clone(), offset, expected }));
        self.gate.forget_topic(&partition.topic);
        self.keys(partition).iter().for_each(|key| self.gate.doubt(key));
        out.push(Output::Describe(partition.topic.to_string()));
        self.ask(partition, out);
    }

    fn set_paused(&mut self, partitions: &[Partition], is_paused: bool, out: &mut Vec<Output>) {
        for partition in partitions {
            if let Some(held) = self.assigned.get_mut(partition) {
                held.is_paused = is_paused;
                self.look(partition, out);
            }
        }
    }

    /// Takes the minimum of the groups, and lets go of the message in hand if all have written it (4).
    fn look(&mut self, partition: &Partition, out: &mut Vec<Output>) {
        let positions = self.keys(partition);
        let watermark = positions.iter().map(|key| self.gate.position(key).unwrap_or(0)).min().unwrap_or(0);
        let Some(held) = self.assigned.get_mut(partition) else { return };
        held.watermark = watermark;
        if let Some(InHand { offset, .. }) = held.in_hand.take_if(|hand| !held.is_paused && hand.offset < watermark) {
            held.next = offset + 1;
            out.push(Output::Deliver { partition: partition.clone(), offset });
        }
    }

    fn ask_all(&mut self, out: &mut Vec<Output>) {
        if self.repair_ms.is_some() {
            let all: Vec<_> = self.assigned.keys().cloned().collect();
            all.iter().for_each(|partition| self.ask(partition, out));
        }
    }

    fn ask(&mut self, partition: &Partition, out: &mut Vec<Output>) {
        let Some(repair_ms) = self.repair_ms else { return };
        let hand = self.assigned.get(partition).filter(|held| !held.is_paused).and_then(|held| held.in_hand.as_ref());
        let stuck = hand.filter(|hand| self.now_ms - hand.since_ms >= repair_ms).map(|hand| hand.offset);
        for key in self.keys(partition) {
            let wanted = stuck.is_some_and(|offset| self.gate.position(&key).unwrap_or(0) <= offset);
            if self.gate.ask(&key, wanted, self.now_ms) {
                out.push(Output::Ask(key));
            }
        }
    }

    fn keys(&self, partition: &Partition) -> Vec<Key> {
        self.groups.iter().map(|group| partition.key(group)).collect()
    }
}
