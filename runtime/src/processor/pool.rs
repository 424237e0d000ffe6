//! N threads, each with an instance of its own; whoever asks gets a future. The module may be switched between two
//! batches: every call keeps the module that was there when it was made, and calls are made in the order of the
//! messages, so no partition goes back to an earlier module.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};
use tokio::sync::{oneshot, watch};

use super::isolate::Isolation;
use super::module::{LoadError, Module};
use super::{InstanceConfig, Process};
use crate::error::Backoff;
use crate::message::MessageBatch;
use crate::outcome::{Answered, Processed, Reason};
use crate::route::Routes;
use crate::schema::{Check, Checked};

/// Runs modules on threads of its own. Dropped, it lets the threads finish what they were given and end.
pub struct Pool {
    jobs: Sender<Job>,
    line: watch::Receiver<Line>,
}

/// Decides what a pool runs.
#[derive(Clone)]
pub struct Switch(Arc<watch::Sender<Line>>);

/// A module with an instance for each thread: nothing is left to do, or to go wrong, when it is switched to.
pub struct Ready {
    number: u64,
    module: Module,
    config: InstanceConfig,
    routes: Arc<Routes>,
    instances: Mutex<Vec<Isolation>>,
}

/// What the next call is made with, and whether it may be made.
struct Line {
    ready: Arc<Ready>,
    paused: bool,
}

struct Job {
    batch: MessageBatch,
    ready: Arc<Ready>,
    answer: oneshot::Sender<Answered>,
}

/// What happened in a call.
pub struct CallReport<'a> {
    /// With which module, and which time that it was switched to.
    pub ready: &'a Arc<Ready>,
    pub seconds: f64,
    /// Messages that the processor saw.
    pub messages: usize,
    pub parts: &'a [Processed],
    /// Reasons of calls that failed on the way, before bisecting found the guilty messages.
    pub failures: Vec<Reason>,
    pub counted: Vec<(String, u64)>,
    /// Messages checked against the schema before the call, and how many of them do not follow it.
    pub checked: u64,
    pub invalid: u64,
}

static MADE: AtomicU64 = AtomicU64::new(0);

impl Ready {
    /// Makes the instances.
    ///
    /// # Errors
    /// If the module cannot be instantiated and configured.
    pub fn new(
        module: Module,
        config: InstanceConfig,
        routes: Arc<Routes>,
        threads: usize,
    ) -> Result<Arc<Self>, LoadError> {
        let instances = (0..threads).map(|_| Isolation::new(module.clone(), config.clone()));
        let instances = Mutex::new(instances.collect::<Result<_, _>>()?);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(Self { number, module, config, routes, instances }))
    }

    pub fn module(&self) -> &Module {
        &self.module
    }

    /// What was made later has a higher one, in this process.
    pub fn number(&self) -> u64 {
        self.number
    }

    fn instance(&self) -> Isolation {
        let made = self.instances.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
        made.unwrap_or_else(|| Isolation::not_yet(self.module.clone(), self.config.clone()))
    }
}

impl Pool {
    /// # Errors
    /// If the machine gives no threads.
    pub fn start(
        ready: Arc<Ready>,
        check: Option<Check>,
        threads: usize,
        observe: impl Fn(CallReport<'_>) + Send + Sync + 'static,
    ) -> std::io::Result<(Self, Switch)> {
        let (jobs, queue) = unbounded();
        let check = Arc::new(check);
        let observe: Arc<dyn Fn(CallReport<'_>) + Send + Sync> = Arc::new(observe);
        for number in 0..threads {
            let (ready, queue, check, observe) = (ready.clone(), queue.clone(), check.clone(), observe.clone());
            thread::Builder::new()
                .name(format!("processor-{number}"))
                .spawn(move || work(ready, &queue, check.as_ref().as_ref(), &*observe))?;
        }
        let (switch, line) = watch::channel(Line { ready, paused: false });
        Ok((Self { jobs, line }, Switch(Arc::new(switch))))
    }
}

impl Switch {
    /// The next call, and all after it, are made with this. A pool that was paused goes on.
    pub fn to(&self, ready: Arc<Ready>) {
        self.0.send_replace(Line { ready, paused: false });
    }

    /// No calls are made until another module is switched to, or [`resume`](Self::resume) is called.
    pub fn pause(&self) {
        self.0.send_modify(|line| line.paused = true);
    }

    pub fn resume(&self) {
        self.0.send_modify(|line| line.paused = false);
    }

    /// What the next call is made with.
    pub fn ready(&self) -> Arc<Ready> {
        self.0.borrow().ready.clone()
    }
}

impl Process for Pool {
    fn process(&self, batch: MessageBatch) -> impl Future<Output = Answered> + Send + 'static {
        let (answer, answered) = oneshot::channel();
        let ready = self.line.borrow().ready.clone();
        let sent = self.jobs.send(Job { batch, ready, answer });
        async move {
            sent.expect("the threads live as long as the pool");
            answered.await.expect("a thread answers every job")
        }
    }

    async fn ready(&self) {
        // Without a switch, nobody can pause it either.
        let _ = self.line.clone().wait_for(|line| !line.paused).await;
    }
}

fn work(mut ready: Arc<Ready>, queue: &Receiver<Job>, check: Option<&Check>, observe: &dyn Fn(CallReport<'_>)) {
    let mut isolation = ready.instance();
    for job in queue {
        if !Arc::ptr_eq(&ready, &job.ready) {
            ready = job.ready;
            isolation = ready.instance();
        }
        let Checked { batch, refused, messages: checked, invalid } = match check {
            Some(check) => check.check(job.batch, isolation.module().name()),
            None => Checked::unseen(job.batch),
        };
        let started = std::time::Instant::now();
        let mut parts = insist(&mut isolation, &batch);
        observe(CallReport {
            ready: &ready,
            seconds: started.elapsed().as_secs_f64(),
            messages: batch.len(),
            parts: &parts,
            failures: isolation.take_failures(),
            counted: isolation.take_counted(),
            checked,
            invalid,
        });
        drop(batch);
        // With the first part: no position of the batch moves before the letters are acknowledged.
        if let Some(first) = parts.first_mut() {
            first.refuse(refused);
        }
        // Nobody waits any more when the pipeline was given up; the batch is not acknowledged then.
        let _ = job.answer.send(Answered { parts, routes: ready.routes.clone() });
    }
}

/// A new instance may fail to come for want of memory on the machine; that is no message's fault.
fn insist(isolation: &mut Isolation, batch: &MessageBatch) -> Vec<Processed> {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
    loop {
        match isolation.process(batch) {
            Ok(processed) => return processed,
            Err(error) => tracing::error!(%error, "no instance to be had, trying again"),
        }
        thread::sleep(backoff.pause());
    }
}
