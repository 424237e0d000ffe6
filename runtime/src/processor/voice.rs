//! What a processor may say: log lines and counters of its own. Bounded for a module as a whole, because its instances
//! come and go, and each new one would begin anew.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::contract::Level;

/// The log of a module: a second's worth of lines at a time.
pub(super) struct Voice(Mutex<Allowance>);

struct Allowance {
    since: Instant,
    lines: u32,
    dropped: u64,
}

/// Sums by name. More names than may be are counted as [`OTHER`].
#[derive(Default)]
pub(super) struct Counters(BTreeMap<String, u64>);

/// More is cut off.
pub(super) const LOG_BYTES_MAX: usize = 2048;
const LOG_LINES_PER_SECOND: u32 = 20;
/// Different names between two calls of [`Counters::take`].
const COUNTERS_MAX: usize = 100;
const COUNTER_NAME_BYTES_MAX: usize = 64;
const OTHER: &str = "other";

impl Voice {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Allowance { since: Instant::now(), lines: 0, dropped: 0 }))
    }

    /// Writes a line, if there is any left to write.
    pub(super) fn say(&self, processor: &str, level: Level, text: &str) {
        if !self.0.lock().unwrap_or_else(PoisonError::into_inner).may_speak(processor) {
            return;
        }
        match level {
            Level::Trace => tracing::trace!(processor, text, "processor says"),
            Level::Debug => tracing::debug!(processor, text, "processor says"),
            Level::Info => tracing::info!(processor, text, "processor says"),
            Level::Warn => tracing::warn!(processor, text, "processor says"),
            Level::Error => tracing::error!(processor, text, "processor says"),
        }
    }
}

impl Allowance {
    fn may_speak(&mut self, processor: &str) -> bool {
        if self.since.elapsed() >= Duration::from_secs(1) {
            if self.dropped > 0 {
                let lines = self.dropped;
                tracing::warn!(processor, lines, "log lines of a processor dropped, it wrote too many");
            }
            *self = Self { since: Instant::now(), lines: 0, dropped: 0 };
        }
        self.lines = self.lines.saturating_add(1);
        let may = self.lines <= LOG_LINES_PER_SECOND;
        self.dropped += u64::from(!may);
        may
    }
}

impl Counters {
    /// Letters of the name that a label does not usually have become `_`.
    pub(super) fn add(&mut self, name: &str, delta: u64) {
        let usual = |c: char| if c.is_ascii_alphanumeric() || "_.:/-".contains(c) { c } else { '_' };
        self.add_as(name.chars().take(COUNTER_NAME_BYTES_MAX).map(usual).collect(), delta);
    }

    fn add_as(&mut self, mut name: String, delta: u64) {
        if name.is_empty() || (self.0.len() >= COUNTERS_MAX && !self.0.contains_key(&name)) {
            name = OTHER.to_owned();
        }
        let sum = self.0.entry(name).or_default();
        *sum = sum.saturating_add(delta);
    }

    /// Adds what was counted elsewhere.
    pub(super) fn append(&mut self, others: Counters) {
        others.0.into_iter().for_each(|(name, delta)| self.add_as(name, delta));
    }

    /// What was counted since this was last called.
    pub(super) fn take(&mut self) -> Counters {
        std::mem::take(self)
    }

    pub(super) fn into_vec(self) -> Vec<(String, u64)> {
        self.0.into_iter().collect()
    }
}

/// Cut at a character, with a mark that it was.
pub(super) fn truncated(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_past_the_bound_are_counted_together_and_no_other_name_changes() {
        let mut counters = Counters::default();
        for number in 0..COUNTERS_MAX + 50 {
            counters.add(&format!("name{number:03}"), 2);
        }
        counters.add("name099", 1);
        let mut later = Counters::default();
        later.add("late", 5);
        counters.append(later.take());
        let counted = counters.take().into_vec();
        assert_eq!(counted.len(), COUNTERS_MAX + 1);
        let sum = |name: &str| counted.iter().find(|(have, _)| have == name).map(|(_, sum)| *sum);
        assert_eq!((sum("name000"), sum("name099")), (Some(2), Some(3)));
        assert_eq!(sum(OTHER), Some(50 * 2 + 5));
        assert!(counters.take().into_vec().is_empty() && later.into_vec().is_empty());
    }

    #[test]
    fn names_are_labels() {
        let mut counters = Counters::default();
        counters.add("a\"} 1\nb", u64::MAX);
        counters.add("a\"} 1\nb", 1);
        counters.add(&"é".repeat(1000), 1);
        counters.add("", 1);
        let names: Vec<_> = counters.into_vec();
        let expected = [("_".repeat(64), 1), ("a___1_b".to_owned(), u64::MAX), (OTHER.to_owned(), 1)];
        assert_eq!(names.len(), 3);
        expected.iter().for_each(|counter| assert!(names.contains(counter), "{names:?}"));
    }
}
