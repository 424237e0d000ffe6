//! Processors: messages in, outcomes out, in a sandbox. The only home of `wasmtime`.
//!
//! ```text
//! bounds    what a module may be and say of itself                                   once
//! compiler  machine code, made in a process of its own under limits                  once
//! module    a component file → compiled code (cached) → manifest, layouts            once
//! inspect   what a module is, seen from outside                                       on request
//! instance  one sandbox: memory cap, deadline per call, log and counters bounded     one per worker
//! voice     its log lines and counters, bounded for all instances of a module         every call
//! answer    what came back, checked → Processed                                      every call
//! sql       expressions of rewrites, read to the last character                      rare
//! isolate   a call that failed → halves → exactly the guilty message dead-lettered   rare
//! self_test messages of the manifest and what must come of them                       once a load
//! watch     calls that cannot be cut off: given up with their thread                  `interruption: off`
//! pool      N worker threads, results in the order asked for                         one per pipeline
//! ```

mod answer;
mod bounds;
mod compiler;
mod contract;
mod engine;
mod inspect;
mod instance;
mod isolate;
#[cfg(test)]
mod lies;
mod module;
mod pool;
mod self_test;
mod sql;
mod voice;
mod watch;

use std::time::Duration;

pub use compiler::{CompileLimits, serve as serve_compiler};
pub use engine::Engine;
pub use inspect::{Import, Inspection, Memory};
pub use instance::{Failure, Instance};
pub use isolate::Isolation;
pub use module::{LoadError, Module};
pub use pool::{CallReport, Pool, Ready, Switch};
pub use self_test::{SelfTestError, self_test};
use tidegate_rows::Layout;

use crate::message::MessageBatch;
use crate::outcome::Answered;

/// Turns batches into outcomes. It never fails: a message that cannot be processed is dead-lettered in the answer.
/// Two processors exist: [`Pool`] and the one of the simulation.
pub trait Process: Send + Sync + 'static {
    /// Starts at once, before the future is first polled, so that calls made one after another run side by side.
    fn process(&self, batch: MessageBatch) -> impl Future<Output = Answered> + Send + 'static;
    /// Ends when calls may be made; later than at once only where somebody has paused the processor.
    fn ready(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// What a module says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    pub name: String,
    pub version: String,
    pub outputs: Vec<Output>,
    pub wants: Wants,
    /// Messages and what must come of them, JSON Lines; see [`self_test()`].
    pub self_test: String,
}

/// A named stream of rows with its columns, in the order in which their values follow each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    pub name: String,
    /// As the processor returns them; the host's own rows are RowBinary.
    pub format: RowFormat,
    /// Name and ClickHouse type.
    pub columns: Vec<(String, String)>,
}

/// How a processor writes rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFormat {
    RowBinary,
    /// An object a row, which the host turns into RowBinary by the types of the columns.
    JsonEachRow,
}

/// Parts of a message that are only handed over when asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    pub keys: bool,
    pub headers: bool,
    pub offsets: bool,
    pub timestamps: bool,
}

/// What one instance may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Linear memory, bytes.
    pub memory_bytes_max: usize,
    /// A call may take `base + messages × per_message`.
    pub base: Duration,
    pub per_message: Duration,
}

/// Whether a call can be cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interruption {
    /// At its deadline, by epoch checks in loops and functions (about a quarter more CPU in the processor).
    Epoch,
    /// Never: for trusted code only. A call that does not return is given up with its thread, which burns a core.
    Off,
}

/// What an instance is made for.
#[derive(Clone, Debug)]
pub struct InstanceConfig {
    /// The processor's own settings, JSON.
    pub params: String,
    /// `run.topic` is an index into it.
    pub topics: Vec<String>,
    pub limits: Limits,
    /// Types of the columns of each output, as the tables have them; what comes back is walked by them.
    pub layouts: Vec<Layout>,
}

impl Limits {
    pub fn deadline(&self, messages: usize) -> Duration {
        self.base + self.per_message * u32::try_from(messages).unwrap_or(u32::MAX)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes_max: 64 << 20, base: Duration::from_millis(100), per_message: Duration::from_millis(5) }
    }
}
