//! Waiting until a message is written, as a state machine: any number of waiters over one commit log. A record costs the
//! waiters it lets go and a look into a tree; a waiter costs the logarithm of how many there are.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_commit_log::Key;

use crate::gate::{Fact, Gate, Touched};
use crate::token::Token;

/// Names a waiter; given by whoever waits, and used once.
pub type WaitId = u64;

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wait {
    pub token: Token,
    /// All of these must have written everything before the token's position.
    pub groups: Vec<String>,
    /// When to give up, on the clock that is passed in.
    pub deadline_ms: u64,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum WaitInput {
    Fact(Fact),
    Wait {
        id: WaitId,
        wait: Wait,
    },
    /// Nobody waits for it any more.
    Cancel(WaitId),
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WaitOutput {
    Done(WaitId),
    /// The deadline has passed. How far each group is known to have come, in the order of the groups.
    TimedOut {
        id: WaitId,
        reached: Vec<(String, Option<i64>)>,
    },
    /// As of the [`Follower`](crate::Follower).
    Ask(Key),
    /// As of the [`Follower`](crate::Follower).
    Describe(String),
}

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Waiters {
    gate: Gate,
    waits: BTreeMap<WaitId, Wait>,
    /// Each waiter stands at one key at a time: the first of its groups that is not there yet.
    standing: BTreeMap<Key, BTreeSet<(i64, WaitId)>>,
    deadlines: BTreeSet<(u64, WaitId)>,
    now_ms: u64,
}

impl Waiters {
    /// With `repair_ms`, groups are asked what they have committed, once before a key opens and again after every so many
    /// milliseconds that somebody waits.
    pub fn new(repair_ms: Option<u64>) -> Self {
        let (waits, standing, deadlines) = Default::default();
        Self { gate: Gate::new(repair_ms), waits, standing, deadlines, now_ms: 0 }
    }

    /// Takes one input, at a time in milliseconds that never goes back.
    pub fn handle(&mut self, input: WaitInput, now_ms: u64) -> Vec<WaitOutput> {
        self.now_ms = self.now_ms.max(now_ms);
        let mut out = Vec::new();
        match input {
            WaitInput::Fact(fact) => self.learn(&fact, &mut out),
            WaitInput::Wait { id, wait } => self.begin(id, wait, &mut out),
            WaitInput::Cancel(id) => self.end(id),
            WaitInput::Tick => self.ask_all(&mut out),
        }
        self.give_up(&mut out);
        out
    }

    /// When [`WaitInput::Tick`] is needed at the latest.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline_ms, _)| *deadline_ms)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waits.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waits.is_empty()
    }

    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    fn learn(&mut self, fact: &Fact, out: &mut Vec<WaitOutput>) {
        match self.gate.learn(fact).0 {
            Touched::Nothing => {}
            Touched::Key(key) => self.look(&key, out),
            Touched::Everything => {
                self.ask_all(out);
                let all: Vec<_> = self.standing.keys().cloned().collect();
                all.iter().for_each(|key| self.look(key, out));
            }
        }
    }

    fn begin(&mut self, id: WaitId, wait: Wait, out: &mut Vec<WaitOutput>) {
        let topic = wait.token.partition.topic.clone();
        let least = Key { topic: topic.to_string(), partition: i32::MIN, group: String::new() };
        let is_new = self.standing.range(least..).next().is_none_or(|(key, _)| *key.topic != *topic);
        self.deadlines.insert((wait.deadline_ms, id));
        self.waits.insert(id, wait);
        if is_new {
            out.push(WaitOutput::Describe(topic.to_string()));
        }
        self.stand(id, out);
    }

    /// Puts a waiter where it has to wait, or lets it go. All groups are looked at again: one may have gone back meanwhile.
    fn stand(&mut self, id: WaitId, out: &mut Vec<WaitOutput>) {
        let Some(Wait { token, groups, .. }) = self.waits.get(&id) else { return };
        let behind = |key: &Key| self.gate.position(key).is_none_or(|position| position < token.position);
        let first = groups.iter().map(|group| token.partition.key(group)).find(behind);
        let position = token.position;
        match first {
            Some(key) => {
                if self.gate.ask(&key, false, self.now_ms) {
                    out.push(WaitOutput::Ask(key.clone()));
                }
                self.standing.entry(key).or_default().insert((position, id));
            }
            None => {
                self.end(id);
                out.push(WaitOutput::Done(id));
            }
        }
    }

    fn look(&mut self, key: &Key, out: &mut Vec<WaitOutput>) {
        let Some(position) = self.gate.position(key) else { return };
        while let Some(waiting) = self.standing.get_mut(key) {
            let Some((_, id)) = waiting.first().copied().filter(|(wanted, _)| *wanted <= position) else { return };
            waiting.pop_first();
            if waiting.is_empty() {
                self.standing.remove(key);
            }
            self.stand(id, out);
        }
    }

    fn ask_all(&mut self, out: &mut Vec<WaitOutput>) {
        for key in self.standing.keys() {
            if self.gate.ask(key, true, self.now_ms) {
                out.push(WaitOutput::Ask(key.clone()));
            }
        }
    }

    fn give_up(&mut self, out: &mut Vec<WaitOutput>) {
        while let Some((_, id)) = self.deadlines.first().copied().filter(|(at_ms, _)| *at_ms <= self.now_ms) {
            let Some(Wait { token, groups, .. }) = self.waits.get(&id) else { return };
            let reached = groups.iter().map(|group| (group.clone(), self.gate.position(&token.partition.key(group))));
            let reached = reached.collect();
            self.end(id);
            out.push(WaitOutput::TimedOut { id, reached });
        }
    }

    fn end(&mut self, id: WaitId) {
        let Some(Wait { token, groups, deadline_ms }) = self.waits.remove(&id) else { return };
        self.deadlines.remove(&(deadline_ms, id));
        for key in groups.iter().map(|group| token.partition.key(group)) {
            if let Some(waiting) = self.standing.get_mut(&key) {
                waiting.remove(&(token.position, id));
                if waiting.is_empty() {
                    self.standing.remove(&key);
                }
            }
        }
    }
}
