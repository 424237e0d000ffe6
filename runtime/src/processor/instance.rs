//! One running processor in its sandbox.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::{ResourceLimiter, Store, Trap};

use super::contract::{
    Batch, Config, Guest, Host, Level, Manifest, MessageProcessor, MessageProcessorPre, Processed, Run,
};
use super::engine::{Engine, TICK};
use super::module::{LoadError, Module};
use super::{InstanceConfig, Interruption, Limits, Wants};
use crate::message::MessageBatch;

/// A sandbox with one processor in it. After a failure it is dead and must be replaced.
pub struct Instance {
    store: Store<State>,
    guest: MessageProcessor,
    engine: Engine,
    topics: Vec<Arc<str>>,
    wants: Wants,
    limits: Limits,
}

/// Why a call gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A panic, an unreachable instruction, a stack overflow, an import that is not there. With the guest's last words.
    #[error("{0}")]
    Trap(String),
    #[error("the call was cut off after {0:?}")]
    Deadline(Duration),
    #[error("the processor asked for {asked} bytes of memory and may have {max}")]
    Memory { asked: usize, max: usize },
}

/// What the host keeps for an instance: its limits and its voice.
pub(super) struct State {
    name: String,
    memory_bytes_max: usize,
    memory_bytes: usize,
    memory_refused: Option<usize>,
    last_words: Option<String>,
    voice: Voice,
    counted: Vec<(String, u64)>,
}

/// Log lines a guest may still write: a second's worth at a time.
struct Voice {
    since: Instant,
    lines: u32,
    dropped: u64,
}

/// More is cut off.
const LOG_BYTES_MAX: usize = 2048;
const LOG_LINES_PER_SECOND: u32 = 20;
/// Different counter names of one instance; more count under the name `other`.
const COUNTERS_MAX: usize = 100;
const COUNTER_NAME_BYTES_MAX: usize = 64;
/// Bytes that one call may hand to the host.
pub(super) const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Elements that the tables of a module may have.
const TABLE_ELEMENTS_MAX: usize = 1 << 20;

impl Instance {
    /// Instantiates and configures the processor.
    ///
    /// # Errors
    /// [`LoadError::Init`] if the processor refuses its configuration or fails while reading it.
    pub fn new(module: &Module, config: &InstanceConfig) -> Result<Self, LoadError> {
        let name = module.name().name.clone();
        let refused = |error: String| LoadError::Init { name: name.clone(), error };
        let mut store = store(&module.engine, name.clone(), config.limits);
        let running = Call::start(&module.engine, &mut store, config.limits.deadline(0).max(START_TIME));
        let guest = module.pre.instantiate(&mut store).map_err(|error| refused(format!("{error:#}")))?;
        let topics: Vec<&str> = config.topics.iter().map(String::as_str).collect();
        let answer = processor(&guest).call_init(&mut store, Config { params: &config.params, topics: &topics });
        match answer {
            Ok(Ok(())) => {}
            Ok(Err(text)) => return Err(refused(truncated(text, LOG_BYTES_MAX))),
            Err(error) => return Err(refused(running.failure(&store, &error).to_string())),
        }
        drop(running);
        Ok(Self {
            store,
            guest,
            engine: module.engine.clone(),
            topics: config.topics.iter().map(|topic| topic.as_str().into()).collect(),
            wants: module.manifest().wants,
            limits: config.limits,
        })
    }

    /// Calls the processor. `now_ms` is its clock, milliseconds since 1970.
    ///
    /// # Errors
    /// [`Failure`]; the instance is dead then.
    pub(super) fn call(&mut self, batch: &MessageBatch, now_ms: i64) -> Result<Processed, Failure> {
        let runs = self.runs(batch);
        let nulls: &[u8] = if batch.nulls.iter().any(|bits| *bits != 0) { &batch.nulls } else { &[] };
        let wants = self.wants;
        let batch_param = Batch {
            payloads: &batch.payloads,
            ends: &batch.ends,
            runs: &runs,
            nulls,
            now: now_ms,
            offsets: if wants.offsets { &batch.offsets } else { &[] },
            timestamps: if wants.timestamps { &batch.timestamps } else { &[] },
            keys: if wants.keys { &batch.keys } else { &[] },
            key_ends: if wants.keys { &batch.key_ends } else { &[] },
            header_data: if wants.headers { &batch.header_data } else { &[] },
            header_ends: if wants.headers { &batch.header_ends } else { &[] },
            header_counts: if wants.headers { &batch.header_counts } else { &[] },
        };
        let running = Call::start(&self.engine, &mut self.store, self.limits.deadline(batch.len()));
        let answer = processor(&self.guest).call_process(&mut self.store, batch_param);
        answer.map_err(|error| running.failure(&self.store, &error))
    }

    /// Linear memory now; it never shrinks.
    pub fn memory_bytes(&self) -> usize {
        self.store.data().memory_bytes
    }

    /// What the processor counted since the last call of this.
    pub(super) fn take_counted(&mut self) -> Vec<(String, u64)> {
        std::mem::take(&mut self.store.data_mut().counted)
    }

    fn runs(&self, batch: &MessageBatch) -> Vec<Run> {
        let topic_of = |run: &crate::message::Run| self.topics.iter().position(|t| *t == run.partition.topic);
        batch
            .runs
            .iter()
            .filter(|run| run.count > 0)
            .map(|run| Run {
                topic: u32::try_from(topic_of(run).expect("a pipeline reads the topics it was made for")).unwrap_or(0),
                partition: run.partition.number,
                count: run.count,
            })
            .collect()
    }
}

/// Time that instantiating, describing and configuring may take.
const START_TIME: Duration = Duration::from_secs(5);

/// Asks a module what it is, in an instance of its own.
pub(super) fn describe(engine: &Engine, pre: &MessageProcessorPre<State>, limits: Limits) -> Result<Manifest, Failure> {
    let mut store = store(engine, "new module".into(), limits);
    let running = Call::start(engine, &mut store, START_TIME);
    let told = pre.instantiate(&mut store).and_then(|guest| processor(&guest).call_describe(&mut store));
    told.map_err(|error| running.failure(&store, &error))
}

fn processor(guest: &MessageProcessor) -> &Guest {
    guest.tidegate_processor_processor()
}

fn store(engine: &Engine, name: String, limits: Limits) -> Store<State> {
    let state = State {
        name,
        memory_bytes_max: limits.memory_bytes_max,
        memory_bytes: 0,
        memory_refused: None,
        last_words: None,
        voice: Voice { since: Instant::now(), lines: 0, dropped: 0 },
        counted: Vec::new(),
    };
    let mut store = Store::new(engine.wasmtime(), state);
    store.limiter(|state| state);
    store.set_hostcall_fuel(ANSWER_BYTES_MAX);
    store
}

/// One call into the guest, with its deadline.
struct Call<'a> {
    _running: super::engine::Running<'a>,
    deadline: Duration,
}

impl<'a> Call<'a> {
    fn start(engine: &'a Engine, store: &mut Store<State>, deadline: Duration) -> Self {
        store.data_mut().last_words = None;
        store.data_mut().memory_refused = None;
        if engine.interruption() == Interruption::Epoch {
            let ticks = deadline.as_nanos().div_ceil(TICK.as_nanos()) + 1;
            store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX));
        }
        Self { _running: engine.run(), deadline }
    }

    fn failure(&self, store: &Store<State>, error: &wasmtime::Error) -> Failure {
        let state = store.data();
        if let Some(asked) = state.memory_refused {
            return Failure::Memory { asked, max: state.memory_bytes_max };
        }
        let trap = error.downcast_ref::<Trap>();
        if trap == Some(&Trap::Interrupt) {
            return Failure::Deadline(self.deadline);
        }
        let cause = trap.map_or_else(|| error.root_cause().to_string(), ToString::to_string);
        let text = match &state.last_words {
            Some(words) => format!("{words} ({cause})"),
            None => cause,
        };
        Failure::Trap(truncated(text, LOG_BYTES_MAX))
    }
}

impl ResourceLimiter for State {
    fn memory_growing(&mut self, _now: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = desired <= self.memory_bytes_max;
        if allowed {
            self.memory_bytes = desired;
        } else {
            self.memory_refused = Some(desired);
        }
        Ok(allowed)
    }

    fn table_growing(&mut self, _now: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }
}

impl Host for State {
    fn log(&mut self, level: Level, text: String) {
        let text = truncated(text, LOG_BYTES_MAX);
        if level == Level::Error {
            self.last_words = Some(text.clone());
        }
        if !self.voice.may_speak() {
            return;
        }
        let processor = &self.name;
        match level {
            Level::Trace => tracing::trace!(processor, text, "processor says"),
            Level::Debug => tracing::debug!(processor, text, "processor says"),
            Level::Info => tracing::info!(processor, text, "processor says"),
            Level::Warn => tracing::warn!(processor, text, "processor says"),
            Level::Error => tracing::error!(processor, text, "processor says"),
        }
    }

    fn count(&mut self, name: String, delta: u64) {
        let name = truncated(name, COUNTER_NAME_BYTES_MAX);
        if let Some((_, sum)) = self.counted.iter_mut().find(|(have, _)| *have == name) {
            *sum = sum.saturating_add(delta);
        } else if self.counted.len() < COUNTERS_MAX {
            self.counted.push((name, delta));
        } else if let Some((other, sum)) = self.counted.last_mut() {
            *other = "other".into();
            *sum = sum.saturating_add(delta);
        }
    }
}

impl super::contract::tidegate::processor::types::Host for State {}

impl Voice {
    fn may_speak(&mut self) -> bool {
        if self.since.elapsed() >= Duration::from_secs(1) {
            if self.dropped > 0 {
                tracing::warn!(lines = self.dropped, "log lines of a processor dropped, it wrote too many");
            }
            *self = Self { since: Instant::now(), lines: 0, dropped: 0 };
        }
        self.lines += 1;
        let may = self.lines <= LOG_LINES_PER_SECOND;
        self.dropped += u64::from(!may);
        may
    }
}

fn truncated(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
        text.push('…');
    }
    text
}
