//! Poison isolation: a call that fails is repeated in halves, each in a fresh instance, until exactly the guilty
//! message stands alone; where many are guilty, message by message. Allowed because a processor is a pure function of its batch.

use super::contract;
use super::instance::{Failure, Instance};
use super::module::{LoadError, Module};
use super::voice::Counters;
use super::watch::Caller;
use super::{InstanceConfig, Interruption, answer};
use crate::clock::now_ms;
use crate::message::MessageBatch;
use crate::outcome::{Processed, Reason, Rejection};

/// A processor that survives its messages: one instance, replaced whenever it died.
pub struct Isolation {
    module: Module,
    config: InstanceConfig,
    instance: Option<Instance>,
    failures: Vec<Reason>,
    counted: Counters,
    /// Guilty messages of the batch that is being processed.
    culprits: usize,
    /// For calls that cannot be cut off.
    caller: Option<Caller>,
}

/// After so many guilty messages the rest of a batch is called message by message. Halving again and again would cost
/// up to twice as many calls, and each level of it the time of the whole batch, where most messages are guilty.
const CULPRITS_MAX: usize = 4;

impl Isolation {
    /// # Errors
    /// If the module cannot be instantiated and configured.
    pub fn new(module: Module, config: InstanceConfig) -> Result<Self, LoadError> {
        let instance = Some(Instance::new(&module, &config)?);
        Ok(Self { instance, ..Self::not_yet(module, config) })
    }

    /// Its instance is made for the first batch.
    pub(super) fn not_yet(module: Module, config: InstanceConfig) -> Self {
        Self {
            module,
            config,
            instance: None,
            failures: Vec::new(),
            counted: Counters::default(),
            culprits: 0,
            caller: None,
        }
    }

    /// Every message of the batch gets an outcome; the parts follow each other, and a rewrite ends its part.
    ///
    /// # Errors
    /// Only if a new instance could not be made, which says nothing of the messages: the same call may be repeated.
    pub fn process(&mut self, batch: &MessageBatch) -> Result<Vec<Processed>, LoadError> {
        self.process_at(batch, now_ms())
    }

    /// The same with another clock, milliseconds since 1970: what a test or a measurement says once, it says always.
    ///
    /// # Errors
    /// As [`Isolation::process`].
    pub fn process_at(&mut self, batch: &MessageBatch, now_ms: i64) -> Result<Vec<Processed>, LoadError> {
        if batch.is_empty() {
            return Ok(vec![Processed { progress: batch.progress(), ..Processed::default() }]);
        }
        self.culprits = 0;
        let mut parts = Vec::new();
        self.attempt(batch, now_ms, &mut parts)?;
        Ok(parts)
    }

    /// Calls that failed since this was last asked, for metrics.
    pub fn take_failures(&mut self) -> Vec<Reason> {
        std::mem::take(&mut self.failures)
    }

    /// What the processor counted since this was last asked.
    pub fn take_counted(&mut self) -> Vec<(String, u64)> {
        self.counted.take().into_vec()
    }

    /// Linear memory of the instance; none while it waits to be replaced.
    pub fn memory_bytes(&self) -> Option<usize> {
        self.instance.as_ref().map(Instance::memory_bytes)
    }

    pub fn module(&self) -> &Module {
        &self.module
    }

    fn attempt(&mut self, batch: &MessageBatch, now_ms: i64, parts: &mut Vec<Processed>) -> Result<(), LoadError> {
        let cuts = match self.call(batch, now_ms)? {
            Called::Processed(processed) => {
                parts.push(processed);
                return Ok(());
            }
            Called::ToBeCut(cuts) => cuts,
            Called::Failed(rejection) => {
                self.failures.push(rejection.reason);
                if batch.len() == 1 {
                    self.culprits += 1;
                    parts.push(answer::rejected(batch, rejection, self.module.name()));
                    return Ok(());
                }
                match self.culprits {
                    CULPRITS_MAX.. => (1..batch.len()).collect(),
                    _ => vec![batch.len() / 2],
                }
            }
        };
        let starts = std::iter::once(0).chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain([batch.len()]);
        starts.zip(ends).try_for_each(|(start, end)| self.attempt(&batch.part(start..end), now_ms, parts))
    }

    fn call(&mut self, batch: &MessageBatch, now_ms: i64) -> Result<Called, LoadError> {
        let instance = match self.instance.take() {
            Some(instance) => instance,
            None => Instance::new(&self.module, &self.config)?,
        };
        let Some((mut instance, answer)) = self.answer_of(instance, batch, now_ms)? else {
            let (processor, limit) = (&self.module.name().name, self.config.limits.deadline(batch.len()));
            tracing::error!(processor, messages = batch.len(), ?limit, "a call does not return and cannot be cut off");
            // Each attempt may cost a thread: two for a guilty message, not two for each halving.
            self.culprits = self.culprits.max(CULPRITS_MAX);
            return Ok(Called::Failed(Failure::Stuck(limit).into()));
        };
        // Now, because the instance may not come back.
        self.counted.append(instance.take_counted());
        let told = match answer {
            Ok(told) => told,
            Err(failure) => return Ok(Called::Failed(failure.into())),
        };
        if instance.memory_bytes() <= self.config.limits.memory_bytes_max / 4 * 3 {
            self.instance = Some(instance);
        }
        let cuts = answer::cuts(&told.outcomes);
        if told.outcomes.len() == batch.len() && !cuts.is_empty() {
            return Ok(Called::ToBeCut(cuts));
        }
        Ok(
            match answer::check(told, batch, &self.config.layouts, &self.module.manifest().outputs, self.module.name())
            {
                Ok(processed) => Called::Processed(processed),
                Err(text) => Called::Failed(Rejection::new(Reason::InvalidAnswer, text)),
            },
        )
    }

    /// `None`: the call does not return.
    fn answer_of(
        &mut self,
        mut instance: Instance,
        batch: &MessageBatch,
        now_ms: i64,
    ) -> Result<Option<(Instance, Answer)>, LoadError> {
        if self.module.engine.interruption() == Interruption::Epoch {
            let answer = instance.call(batch, now_ms);
            return Ok(Some((instance, answer)));
        }
        let given_up = self.module.given_up.clone();
        given_up.wait(&self.module.name().name);
        let caller = match self.caller.take() {
            Some(caller) => caller,
            None => Caller::start(&self.module.name().name, given_up.clone())?,
        };
        let (copy, limit) = (batch.part(0..batch.len()), self.config.limits.deadline(batch.len()));
        let called = caller.call(instance, copy, now_ms, limit, &given_up);
        Ok(called.map(|(caller, instance, answer)| {
            self.caller = Some(caller);
            (instance, answer)
        }))
    }
}

type Answer = Result<contract::Processed, Failure>;

/// What came of one call.
enum Called {
    Processed(Processed),
    /// There are rewrites among the messages: to be called again in parts that end with them.
    ToBeCut(Vec<usize>),
    Failed(Rejection),
}

impl From<Failure> for Rejection {
    fn from(failure: Failure) -> Self {
        let reason = match failure {
            Failure::Trap(_) => Reason::Trap,
            Failure::Deadline(_) | Failure::Stuck(_) => Reason::Deadline,
            Failure::Memory { .. } | Failure::Tables { .. } => Reason::Memory,
            Failure::Answer(_) => Reason::InvalidAnswer,
        };
        Rejection::new(reason, failure.to_string())
    }
}
