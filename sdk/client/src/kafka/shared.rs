//! What the thread that reads a commit log shares with those who wait and follow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use tidegate_commit_log::{Key, Record};
use tokio::sync::oneshot;

use super::asker::{Asker, Listener};
use super::commit_log::{LogStatus, WaitError};
use crate::gate::Fact;
use crate::token::Token;
use crate::waiters::{Wait, WaitId, WaitInput, WaitOutput, Waiters};

/// To be told when the log is read to its end, or why that cannot be.
pub(super) type CatchingUp = oneshot::Sender<Result<(), String>>;

/// What the reading thread and the handles share.
pub(super) struct Shared {
    state: Mutex<State>,
    asker: Asker,
    started: Instant,
    is_ending: AtomicBool,
}

struct State {
    waiters: Waiters,
    answers: BTreeMap<WaitId, Waiting>,
    next_id: WaitId,
    followers: Vec<Listener>,
    /// Topics whose ids are looked at again and again.
    topics: BTreeSet<String>,
    /// The highest record of each key, whichever topic of the name it is about.
    last: BTreeMap<Key, Record>,
    catch_ups: Vec<CatchingUp>,
    status: LogStatus,
}

/// Whom to tell what became of a wait.
pub(super) struct Waiting {
    pub(super) token: Token,
    pub(super) timeout: Duration,
    pub(super) answer: oneshot::Sender<Result<(), WaitError>>,
}

impl Shared {
    pub(super) fn new(repair: Option<Duration>, asker: Asker) -> Self {
        let state = State {
            waiters: Waiters::new(repair.map(milliseconds)),
            answers: BTreeMap::new(),
            next_id: 0,
            followers: Vec::new(),
            topics: BTreeSet::new(),
            last: BTreeMap::new(),
            catch_ups: Vec::new(),
            status: LogStatus::default(),
        };
        Self { state: Mutex::new(state), asker, started: Instant::now(), is_ending: AtomicBool::new(false) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        milliseconds(self.started.elapsed())
    }

    /// The reading thread ends soon.
    pub(super) fn begin_to_end(&self) {
        self.is_ending.store(true, Ordering::Release);
    }

    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Acquire)
    }

    /// How long the next deadline is away.
    pub(super) fn until_deadline(&self) -> Duration {
        let deadline_ms = self.state().waiters.next_deadline_ms();
        deadline_ms.map_or(Duration::MAX, |at| Duration::from_millis(at.saturating_sub(self.now_ms())))
    }

    pub(super) fn begin_wait(self: &Arc<Self>, waiting: Waiting, groups: Vec<String>) -> WaitId {
        // The millisecond that has begun is not whole: nobody gives up early.
        let deadline_ms = self.now_ms().saturating_add(milliseconds(waiting.timeout)).saturating_add(1);
        let mut state = self.state();
        let id = state.next_id;
        state.next_id += 1;
        let wait = Wait { token: waiting.token.clone(), groups, deadline_ms };
        state.answers.insert(id, waiting);
        self.handle(&mut state, WaitInput::Wait { id, wait });
        id
    }

    /// Nothing, if it has its answer.
    pub(super) fn cancel_wait(self: &Arc<Self>, id: WaitId) {
        let mut state = self.state();
        if state.answers.remove(&id).is_some() {
            self.handle(&mut state, WaitInput::Cancel(id));
        }
    }

    /// Who still waits is told that nobody reads any more.
    pub(super) fn give_up_waits(&self) {
        self.state().answers.clear();
    }

    pub(super) fn status(&self) -> LogStatus {
        let state = self.state();
        let waiters = &state.waiters;
        LogStatus { is_loaded: waiters.gate().is_loaded(), waiting: waiters.len(), ..state.status.clone() }
    }

    /// The highest record of a key.
    pub(super) fn last(&self, key: &Key) -> Option<Record> {
        self.state().last.get(key).cloned()
    }

    /// Tells the waiters and every follower.
    pub(super) fn learn(self: &Arc<Self>, fact: &Fact) {
        let mut state = self.state();
        match fact {
            Fact::Topic { name, id } => drop(state.status.topics.insert(name.clone(), id.clone())),
            Fact::Record(record) => state.remember(record),
            Fact::Tombstone(key) => drop(state.last.remove(key)),
            _ => {}
        }
        self.handle(&mut state, WaitInput::Fact(fact.clone()));
        state.followers.retain(|listener| listener(fact));
    }

    pub(super) fn tick(self: &Arc<Self>) {
        let mut state = self.state();
        if !state.waiters.is_empty() {
            self.handle(&mut state, WaitInput::Tick);
        }
    }

    fn handle(self: &Arc<Self>, state: &mut State, input: WaitInput) {
        for output in state.waiters.handle(input, self.now_ms()) {
            match output {
                WaitOutput::Done(id) => state.answer(id, |_, _| Ok(())),
                WaitOutput::TimedOut { id, reached } => {
                    state.answer(id, |token, timeout| Err(WaitError::TimedOut { token, timeout, reached }));
                }
                WaitOutput::Ask(key) => {
                    let shared = Arc::downgrade(self);
                    self.ask(key, Arc::new(move |fact| shared.upgrade().is_some_and(|shared| shared.answered(fact))));
                }
                WaitOutput::Describe(topic) => self.describe_in(state, topic),
            }
        }
    }

    /// An answer for the waiters alone: followers ask for themselves.
    fn answered(self: &Arc<Self>, fact: &Fact) -> bool {
        let mut state = self.state();
        self.handle(&mut state, WaitInput::Fact(fact.clone()));
        true
    }

    pub(super) fn ask(&self, key: Key, listener: Listener) {
        self.asker.committed(key, listener);
    }

    /// The answer goes to everybody.
    pub(super) fn describe(self: &Arc<Self>, topic: String) {
        self.describe_in(&mut self.state(), topic);
    }

    fn describe_in(self: &Arc<Self>, state: &mut State, name: String) {
        state.topics.insert(name.clone());
        let shared = Arc::downgrade(self);
        let listener = move |fact: &Fact| {
            shared.upgrade().is_some_and(|shared| {
                shared.learn(fact);
                true
            })
        };
        self.asker.topic(name, Arc::new(listener));
    }

    pub(super) fn describe_again(self: &Arc<Self>) {
        let mut state = self.state();
        for topic in state.topics.clone() {
            self.describe_in(&mut state, topic);
        }
    }

    /// Tells everything that is known, then everything that comes.
    pub(super) fn follow(&self, listener: Listener) {
        let mut state = self.state();
        state.waiters.gate().facts().iter().for_each(|fact| {
            listener(fact);
        });
        state.followers.push(listener);
    }

    pub(super) fn topic_id(&self, topic: String, answer: oneshot::Sender<Result<Option<String>, String>>) {
        self.asker.topic_id(topic, answer);
    }

    pub(super) fn catch_up(&self, catching_up: CatchingUp) {
        self.state().catch_ups.push(catching_up);
    }

    pub(super) fn take_catch_ups(&self) -> Vec<CatchingUp> {
        std::mem::take(&mut self.state().catch_ups)
    }

    pub(super) fn count_record(&self) {
        self.state().status.records += 1;
    }

    pub(super) fn count_unreadable(&self) {
        self.state().status.unreadable += 1;
    }

    pub(super) fn failed(&self, error: &KafkaError) {
        self.state().status.last_error = Some(error.to_string());
    }
}

impl State {
    /// Of the same position, the one that came last.
    fn remember(&mut self, record: &Record) {
        let last = self.last.entry(Key::of(record)).or_insert_with(|| record.repeated());
        if (record.epoch, record.offset) >= (last.epoch, last.offset) {
            *last = record.repeated();
        }
    }

    fn answer(&mut self, id: WaitId, answer: impl FnOnce(Token, Duration) -> Result<(), WaitError>) {
        if let Some(Waiting { token, timeout, answer: to }) = self.answers.remove(&id) {
            // Nobody may wait for it any more.
            drop(to.send(answer(token, timeout)));
        }
    }
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
