//! What becomes of messages: every one has exactly one outcome, and outcomes of successive messages are [`Processed`].

use std::fmt;
use std::sync::Arc;

use crate::digest::Digest;
use crate::message::Message;
use crate::offset::{Partition, Progress};
use crate::route::Routes;

/// What came of one batch: parts that follow each other, and where the rows of the module that made them go.
#[derive(Debug)]
pub struct Answered {
    /// A rewrite ends its part.
    pub parts: Vec<Processed>,
    pub routes: Arc<Routes>,
}

/// Messages after their processor and after the check of what the processor returned.
#[derive(Debug, Default)]
pub struct Processed {
    /// Rows by output, in the order of the manifest; an output without rows may be left out.
    pub rows: Vec<OutputRows>,
    /// In the order of their messages.
    pub replacements: Vec<Replacement>,
    /// Of the last message: a rewrite ends what is processed together, because rows after it are written after it.
    pub rewrites: Vec<Rewrite>,
    pub dead_letters: Vec<DeadLetter>,
    /// Counts complete: outcomes sum to messages read.
    pub progress: Progress,
}

/// Rows of one output, in RowBinary, back to back; each one has been walked by the types of its table.
#[derive(Debug, Default)]
pub struct OutputRows {
    /// Index into the manifest's outputs.
    pub output: usize,
    pub data: Vec<u8>,
    /// Row r is `data[ends[r-1]..ends[r]]`.
    pub ends: Vec<u32>,
    /// How many are of messages of each partition; a partition may be here several times.
    pub of_partitions: Vec<(Partition, u64)>,
}

/// A message that changes rows already written; published once the rows before it are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// Rows already written, to be written again with other values. Twice is as once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// Index into the manifest's outputs.
    pub output: usize,
    /// The message that asked for it.
    pub partition: Partition,
    pub offset: i64,
    /// Column and its new value, an expression that was read to the end.
    pub columns: Vec<(String, String)>,
    pub predicate: String,
}

/// A rejected message with its origin: all that is needed to understand it and to play it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub partition: Partition,
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<Vec<u8>>,
    pub payload: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
    pub rejection: Rejection,
    /// Which processor refused it.
    pub module: Arc<ModuleName>,
}

/// Why a message cannot become rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub reason: Reason,
    /// What exactly, for a person.
    pub detail: String,
}

/// The kinds of rejection: a label of metrics and a header of dead letters. A processor gives `Invalid` or
/// `Undecodable` itself; the others are the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The processor said so.
    Invalid,
    /// The processor returned bytes that are not a row of the table.
    InvalidRow,
    /// The processor panicked or hit another trap.
    Trap,
    /// The processor did not return in time.
    Deadline,
    /// The processor asked for more memory than it may have.
    Memory,
    /// The processor's answer made no sense for this message (an unknown output, a missing outcome).
    InvalidAnswer,
    /// The message does not follow the schema that the pipeline enforces; the processor did not see it.
    Schema,
}

/// A module as it signs dead letters and metrics.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModuleName {
    pub name: String,
    pub version: String,
    /// Of the component.
    pub digest: Digest,
}

impl ModuleName {
    /// `errors 1.2.0`
    pub fn titled(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

impl Processed {
    /// Adds the dead letters of messages that its processor did not see and its progress counts; all in the order of
    /// their messages.
    pub fn refuse(&mut self, letters: Vec<DeadLetter>) {
        if !letters.is_empty() {
            self.dead_letters.extend(letters);
            self.dead_letters.sort_by(|a, b| (&a.partition, a.offset).cmp(&(&b.partition, b.offset)));
        }
    }
}

impl Reason {
    pub const ALL: [Reason; 7] = [
        Reason::Invalid,
        Reason::InvalidRow,
        Reason::Trap,
        Reason::Deadline,
        Reason::Memory,
        Reason::InvalidAnswer,
        Reason::Schema,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Invalid => "invalid",
            Reason::InvalidRow => "invalid-row",
            Reason::Trap => "trap",
            Reason::Deadline => "deadline",
            Reason::Memory => "memory",
            Reason::InvalidAnswer => "invalid-answer",
            Reason::Schema => "schema",
        }
    }
}

impl DeadLetter {
    pub fn of(message: &Message<'_>, rejection: Rejection, module: Arc<ModuleName>) -> Self {
        Self {
            partition: message.partition.clone(),
            offset: message.offset,
            timestamp_ms: message.timestamp_ms,
            key: message.key.map(<[u8]>::to_vec),
            payload: message.payload.map(<[u8]>::to_vec),
            headers: message.headers().map(|(name, value)| (name.to_owned(), value.to_vec())).collect(),
            rejection,
            module,
        }
    }
}

impl Rejection {
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}
