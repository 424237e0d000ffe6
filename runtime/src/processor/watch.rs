//! Calls that cannot be cut off (`interruption: off`) are made on a thread of their own, which is given up when a call does
//! not return. A thread cannot be killed: what is given up burns its core until the call returns, so there may be few.

use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::contract::Processed;
use super::instance::{Failure, Instance};
use super::module::LoadError;
use crate::message::MessageBatch;

/// Threads of a module that were given up and have not come back. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct GivenUp(Arc<State>);

#[derive(Default)]
struct State {
    threads: Mutex<usize>,
    came_back: Condvar,
    hold: OnceLock<Box<Hold>>,
}

/// Told why no more calls are made; `None`: they are made again.
type Hold = dyn Fn(Option<&str>) + Send + Sync;

/// The thread that makes the calls of a worker.
pub(super) struct Caller {
    jobs: Sender<Job>,
    answers: Receiver<Answer>,
}

struct Job {
    instance: Instance,
    batch: MessageBatch,
    now_ms: i64,
}

struct Answer {
    instance: Instance,
    answer: Result<Processed, Failure>,
}

/// Threads of a module that may be given up at a time; past it no more calls are made until one comes back.
const GIVEN_UP_MAX: usize = 4;
/// How often the log says that a worker waits.
const REMINDER: Duration = Duration::from_secs(60);

impl GivenUp {
    pub(super) fn on_hold(&self, hold: Box<Hold>) {
        // The first one stays: a module has one pipeline.
        let _ = self.0.hold.set(hold);
    }

    fn count(&self, change: impl FnOnce(&mut usize)) {
        change(&mut self.0.threads.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.came_back.notify_all();
    }

    /// Returns when there are few enough for another call.
    pub(super) fn wait(&self, processor: &str) {
        let hold = |why: Option<&str>| self.0.hold.get().into_iter().for_each(|hold| hold(why));
        let mut threads = self.0.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if *threads < GIVEN_UP_MAX {
            return;
        }
        while *threads >= GIVEN_UP_MAX {
            let text = format!(
                "processor {processor:?} has {threads} calls that do not return, and no more are made\n\
                 hint: `interruption: epoch` cuts such calls off; a restart ends these"
            );
            tracing::error!(processor, threads = *threads, "calls do not return, no more are made until one does");
            hold(Some(&text));
            let waited = self.0.came_back.wait_timeout(threads, REMINDER);
            threads = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        hold(None);
    }
}

impl Caller {
    /// # Errors
    /// If the machine gives no thread.
    pub(super) fn start(name: &str, given_up: GivenUp) -> Result<Self, LoadError> {
        let (jobs, queue) = bounded::<Job>(1);
        // Of no length: what is sent was received, so a thread whose answer nobody takes knows that it was given up.
        let (answered, answers) = bounded(0);
        let work = move || {
            for Job { mut instance, batch, now_ms } in queue {
                let answer = instance.call(&batch, now_ms);
                drop(batch);
                if answered.send(Answer { instance, answer }).is_err() {
                    given_up.count(|threads| *threads -= 1);
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("caller".into()).spawn(work);
        thread.map_err(|error| LoadError::Init { name: name.to_owned(), error: error.to_string() })?;
        Ok(Self { jobs, answers })
    }

    /// The instance comes back with its answer. `None`: the call did not return within `limit`, and the thread is given
    /// up.
    pub(super) fn call(
        self,
        instance: Instance,
        batch: MessageBatch,
        now_ms: i64,
        limit: Duration,
        given_up: &GivenUp,
    ) -> Option<(Self, Instance, Result<Processed, Failure>)> {
        self.jobs.send(Job { instance, batch, now_ms }).ok()?;
        match self.answers.recv_timeout(limit) {
            Ok(Answer { instance, answer }) => Some((self, instance, answer)),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                // Counted first: the thread counts itself out when it finds that nobody waits.
                given_up.count(|threads| *threads += 1);
                None
            }
        }
    }
}
