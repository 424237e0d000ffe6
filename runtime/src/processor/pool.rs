//! N threads, each with an instance of its own; whoever asks gets a future.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};
use tokio::sync::oneshot;

use super::isolate::Isolation;
use super::module::{LoadError, Module};
use super::{InstanceConfig, Process};
use crate::error::Backoff;
use crate::message::MessageBatch;
use crate::outcome::Processed;
use crate::schema::{Check, Checked};

/// Runs one module on threads of its own. Dropped, it lets the threads finish what they were given and end.
pub struct Pool {
    jobs: Sender<Job>,
    module: Module,
}

struct Job {
    batch: MessageBatch,
    answer: oneshot::Sender<Vec<Processed>>,
}

/// What happened in a call, for metrics.
#[derive(Debug)]
pub struct CallReport<'a> {
    pub module: &'a Module,
    pub seconds: f64,
    pub messages: usize,
    /// Reasons of calls that failed on the way, before bisecting found the guilty messages.
    pub failures: Vec<crate::outcome::Reason>,
    pub counted: Vec<(String, u64)>,
    /// Messages checked against the schema before the call, and how many of them do not follow it.
    pub checked: u64,
    pub invalid: u64,
}

impl Pool {
    /// # Errors
    /// If the module cannot be instantiated and configured; nothing runs then.
    pub fn start(
        module: Module,
        config: InstanceConfig,
        check: Option<Check>,
        threads: usize,
        observe: impl Fn(CallReport<'_>) + Send + Sync + 'static,
    ) -> Result<Self, LoadError> {
        let (jobs, queue) = unbounded();
        let check = Arc::new(check);
        let observe: Arc<dyn Fn(CallReport<'_>) + Send + Sync> = Arc::new(observe);
        for number in 0..threads {
            let isolation = Isolation::new(module.clone(), config.clone())?;
            let (queue, check, observe) = (queue.clone(), check.clone(), observe.clone());
            let name = format!("processor-{number}");
            thread::Builder::new()
                .name(name)
                .spawn(move || work(isolation, &queue, check.as_ref().as_ref(), &*observe))
                .map_err(|error| LoadError::Init { name: module.name().name.clone(), error: error.to_string() })?;
        }
        Ok(Self { jobs, module })
    }

    pub fn module(&self) -> &Module {
        &self.module
    }
}

impl Process for Pool {
    fn process(&self, batch: MessageBatch) -> impl Future<Output = Vec<Processed>> + Send + 'static {
        let (answer, answered) = oneshot::channel();
        let sent = self.jobs.send(Job { batch, answer });
        async move {
            sent.expect("the threads live as long as the pool");
            answered.await.expect("a thread answers every job")
        }
    }
}

fn work(mut isolation: Isolation, queue: &Receiver<Job>, check: Option<&Check>, observe: &dyn Fn(CallReport<'_>)) {
    for Job { batch, answer } in queue {
        let Checked { batch, refused, messages: checked, invalid } = match check {
            Some(check) => check.check(batch, isolation.module().name()),
            None => Checked::unseen(batch),
        };
        let started = std::time::Instant::now();
        let mut parts = insist(&mut isolation, &batch);
        observe(CallReport {
            seconds: started.elapsed().as_secs_f64(),
            messages: batch.len(),
            failures: isolation.take_failures(),
            counted: isolation.take_counted(),
            module: isolation.module(),
            checked,
            invalid,
        });
        drop(batch);
        // With the first part: no position of the batch moves before the letters are acknowledged.
        if let Some(first) = parts.first_mut() {
            first.refuse(refused);
        }
        // Nobody waits any more when the pipeline was given up; the batch is not acknowledged then.
        let _ = answer.send(parts);
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
