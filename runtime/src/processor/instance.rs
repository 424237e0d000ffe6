//! One running processor in its sandbox.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::{ResourceLimiter, Store, Trap, WasmBacktrace};

use super::contract::{
    Batch, Config, Guest, Host, Level, Manifest, MessageProcessor, MessageProcessorPre, Processed, Run,
};
use super::engine::{Engine, TICK};
use super::module::{LoadError, Module};
use super::voice::{Counters, LOG_BYTES_MAX, Voice, truncated};
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
    /// It cannot be cut off, and its thread was given up.
    #[error("the call did not return within {0:?}")]
    Stuck(Duration),
    #[error("the processor asked for {asked} bytes of memory and may have {max}")]
    Memory { asked: usize, max: usize },
    #[error("the processor asked for {asked} elements of tables and may have {max}")]
    Tables { asked: usize, max: usize },
    /// What it returned cannot be read: a pointer out of its memory, text that is not UTF-8, too much of it.
    #[error("what it returned cannot be read: {0}")]
    Answer(String),
}

/// What the host keeps for an instance: its limits and its voice.
pub(super) struct State {
    name: String,
    memory_bytes_max: usize,
    /// Of all memories together, as are the elements of all tables.
    memory_bytes: usize,
    table_elements: usize,
    refused: Option<Failure>,
    last_words: Option<String>,
    voice: Arc<Voice>,
    counted: Counters,
}

/// Bytes that one call may hand to the host: as much as it may have itself, and never more than this. Lists may lie over
/// each other, so that a small memory holds a large answer.
pub(super) const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Elements that the tables of an instance may have, 8 bytes of the host's memory each.
const TABLE_ELEMENTS_MAX: usize = 1 << 20;
/// Parts that a component may be linked from. One of Python has about thirty.
const PARTS_MAX: usize = 1000;
/// Each reserves 4 GiB of addresses.
const MEMORIES_MAX: usize = 100;

impl Instance {
    /// Instantiates and configures the processor.
    ///
    /// # Errors
    /// [`LoadError::Init`] if the processor refuses its configuration or fails while reading it.
    pub fn new(module: &Module, config: &InstanceConfig) -> Result<Self, LoadError> {
        let name = module.name().name.clone();
        let refused = |error: String| LoadError::Init { name: name.clone(), error };
        let mut store = store(&module.engine, name.clone(), config.limits, module.voice.clone());
        let running = Call::start(&module.engine, &mut store, config.limits.deadline(0).max(START_TIME));
        let guest = module.pre.instantiate(&mut store);
        let guest = guest.map_err(|error| refused(running.failure(&store, &error).to_string()))?;
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

    /// Linear memory now, of all its memories; it never shrinks.
    pub fn memory_bytes(&self) -> usize {
        self.store.data().memory_bytes
    }

    /// What the processor counted since the last call of this.
    pub(super) fn take_counted(&mut self) -> Counters {
        self.store.data_mut().counted.take()
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

/// Why a module did not say what it is.
pub(super) enum Undescribed {
    /// Its functions are not those of the contract.
    Foreign(String),
    Failed(Failure),
}

/// Asks a module what it is, in an instance of its own.
pub(super) fn describe(
    engine: &Engine,
    pre: &MessageProcessorPre<State>,
    voice: Arc<Voice>,
) -> Result<Manifest, Undescribed> {
    let mut store = store(engine, "new module".into(), Limits::default(), voice);
    let running = Call::start(engine, &mut store, START_TIME);
    let guest = pre.instantiate(&mut store).map_err(|error| match running.failure(&store, &error) {
        Failure::Answer(text) => Undescribed::Foreign(text),
        failure => Undescribed::Failed(failure),
    })?;
    let told = processor(&guest).call_describe(&mut store);
    told.map_err(|error| Undescribed::Failed(running.failure(&store, &error)))
}

fn processor(guest: &MessageProcessor) -> &Guest {
    guest.tidegate_processor_processor()
}

fn store(engine: &Engine, name: String, limits: Limits, voice: Arc<Voice>) -> Store<State> {
    let state = State {
        name,
        memory_bytes_max: limits.memory_bytes_max,
        memory_bytes: 0,
        table_elements: 0,
        refused: None,
        last_words: None,
        voice,
        counted: Counters::default(),
    };
    let mut store = Store::new(engine.wasmtime(), state);
    store.limiter(|state| state);
    store.set_hostcall_fuel(limits.memory_bytes_max.min(ANSWER_BYTES_MAX));
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
        store.data_mut().refused = None;
        if engine.interruption() == Interruption::Epoch {
            let ticks = deadline.as_nanos().div_ceil(TICK.as_nanos()) + 1;
            store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX));
        }
        Self { _running: engine.run(), deadline }
    }

    fn failure(&self, store: &Store<State>, error: &wasmtime::Error) -> Failure {
        let state = store.data();
        let trap = error.downcast_ref::<Trap>();
        if trap == Some(&Trap::Interrupt) {
            return Failure::Deadline(self.deadline);
        }
        if let Some(refused) = &state.refused {
            return refused.clone();
        }
        let cause = trap.map_or_else(|| error.root_cause().to_string(), ToString::to_string);
        if trap.is_none() && error.downcast_ref::<WasmBacktrace>().is_none() {
            // It happened when the guest was left already.
            return Failure::Answer(truncated(cause, LOG_BYTES_MAX));
        }
        let cause = absent(&cause).unwrap_or(cause);
        let text = match &state.last_words {
            Some(words) => format!("{words} ({cause})"),
            None => cause,
        };
        Failure::Trap(truncated(text, LOG_BYTES_MAX))
    }
}

/// Imports that are not there were linked as traps, which name them.
fn absent(cause: &str) -> Option<String> {
    let import = cause.strip_prefix("unknown import: `")?.strip_suffix("` has not been defined")?;
    Some(format!("the processor called {import}, which the sandbox does not have"))
}

impl ResourceLimiter for State {
    fn memory_growing(&mut self, now: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        let asked = self.memory_bytes.saturating_add(desired.saturating_sub(now));
        let allowed = asked <= self.memory_bytes_max;
        if allowed {
            self.memory_bytes = asked;
        } else {
            self.refused = Some(Failure::Memory { asked, max: self.memory_bytes_max });
        }
        Ok(allowed)
    }

    fn table_growing(&mut self, now: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        let asked = self.table_elements.saturating_add(desired.saturating_sub(now));
        let allowed = asked <= TABLE_ELEMENTS_MAX;
        if allowed {
            self.table_elements = asked;
        } else {
            self.refused = Some(Failure::Tables { asked, max: TABLE_ELEMENTS_MAX });
        }
        Ok(allowed)
    }

    fn instances(&self) -> usize {
        PARTS_MAX
    }

    fn tables(&self) -> usize {
        PARTS_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}

impl Host for State {
    fn log(&mut self, level: Level, text: String) {
        let text = truncated(text, LOG_BYTES_MAX);
        self.voice.say(&self.name, level, &text);
        if level == Level::Error {
            self.last_words = Some(text);
        }
    }

    fn count(&mut self, name: String, delta: u64) {
        self.counted.add(&name, delta);
    }
}

impl super::contract::tidegate::processor::types::Host for State {}
