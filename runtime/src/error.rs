//! What the answer to an error of the world is, and how long to wait between tries.

use std::time::Duration;

/// What the caller must do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The world is at fault and will heal: the same thing again, after a pause that grows, for ever.
    Retry,
    /// Somebody has to change something: hold the pipeline, say so, try again slowly because the change may come.
    Hold,
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
