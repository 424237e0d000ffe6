//! What the answer to every error is, and whose fault it was: read in one place each.

use std::fmt;
use std::time::Duration;

/// What the caller must do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The message is at fault: dead-letter it and go on.
    DeadLetter,
    /// The world is at fault and will heal: the same thing again, after a pause that grows, for ever.
    Retry,
    /// Somebody has to change something: hold the pipeline, say so, try again slowly because the change may come.
    Hold,
    /// Nothing will help: give up this piece of work without acknowledging it.
    Abandon,
}

/// Who caused an error, for operators and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    Message,
    Processor,
    Runtime,
    Sink,
    Config,
}

/// Pauses between tries: doubling from `first` to `longest`.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// The pause before the next try.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (self.next * 2).min(self.longest);
        pause
    }
}

impl Blame {
    pub fn as_str(self) -> &'static str {
        match self {
            Blame::Message => "message",
            Blame::Processor => "processor",
            Blame::Runtime => "runtime",
            Blame::Sink => "sink",
            Blame::Config => "config",
        }
    }
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
