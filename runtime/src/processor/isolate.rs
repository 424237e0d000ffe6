//! Poison isolation: a call that fails is repeated in halves, each in a fresh instance, until exactly the guilty
//! message stands alone. Allowed because a processor is a pure function of its batch.

use std::time::{SystemTime, UNIX_EPOCH};

use super::InstanceConfig;
use super::answer;
use super::instance::{Failure, Instance};
use super::module::{LoadError, Module};
use crate::message::MessageBatch;
use crate::outcome::{Processed, Reason, Rejection};

/// A processor that survives its messages: one instance, replaced whenever it died.
pub struct Isolation {
    module: Module,
    config: InstanceConfig,
    instance: Option<Instance>,
    failures: Vec<Reason>,
}

impl Isolation {
    /// # Errors
    /// If the module cannot be instantiated and configured.
    pub fn new(module: Module, config: InstanceConfig) -> Result<Self, LoadError> {
        let instance = Some(Instance::new(&module, &config)?);
        Ok(Self { module, config, instance, failures: Vec::new() })
    }

    /// Every message of the batch gets an outcome.
    ///
    /// # Errors
    /// Only if a new instance could not be made, which says nothing of the messages: the same call may be repeated.
    pub fn process(&mut self, batch: &MessageBatch) -> Result<Processed, LoadError> {
        if batch.is_empty() {
            return Ok(Processed { progress: batch.progress(), ..Processed::default() });
        }
        self.attempt(batch, now_ms())
    }

    /// Calls that failed since this was last asked, for metrics.
    pub fn take_failures(&mut self) -> Vec<Reason> {
        std::mem::take(&mut self.failures)
    }

    /// What the processor counted since this was last asked.
    pub fn take_counted(&mut self) -> Vec<(String, u64)> {
        self.instance.as_mut().map(Instance::take_counted).unwrap_or_default()
    }

    pub fn module(&self) -> &Module {
        &self.module
    }

    fn attempt(&mut self, batch: &MessageBatch, now_ms: i64) -> Result<Processed, LoadError> {
        let rejection = match self.call(batch, now_ms)? {
            Ok(processed) => return Ok(processed),
            Err(rejection) => rejection,
        };
        self.failures.push(rejection.reason);
        if batch.len() == 1 {
            return Ok(answer::rejected(batch, rejection, self.module.name()));
        }
        let middle = batch.len() / 2;
        let mut processed = self.attempt(&batch.part(0..middle), now_ms)?;
        processed.append(self.attempt(&batch.part(middle..batch.len()), now_ms)?);
        Ok(processed)
    }

    fn call(&mut self, batch: &MessageBatch, now_ms: i64) -> Result<Result<Processed, Rejection>, LoadError> {
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => Instance::new(&self.module, &self.config)?,
        };
        let told = match instance.call(batch, now_ms) {
            Ok(told) => told,
            Err(failure) => return Ok(Err(failure.into())),
        };
        if instance.memory_bytes() <= self.config.limits.memory_bytes_max / 4 * 3 {
            self.instance = Some(instance);
        }
        let checked = answer::check(told, batch, &self.config.layouts, self.module.name());
        Ok(checked.map_err(|text| Rejection::new(Reason::InvalidAnswer, text)))
    }
}

impl From<Failure> for Rejection {
    fn from(failure: Failure) -> Self {
        let reason = match failure {
            Failure::Trap(_) => Reason::Trap,
            Failure::Deadline(_) => Reason::Deadline,
            Failure::Memory { .. } => Reason::Memory,
        };
        Rejection::new(reason, failure.to_string())
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
