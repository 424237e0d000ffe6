//! The breaker: counts what a module does to its messages and says when it is too much. Pure; time is told.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::outcome::{Processed, Reason};

/// When a module is too bad to go on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Share of messages whose call trapped, ran out of time or memory, or made no sense: 0 to 1.
    pub failures_max: f64,
    /// Share of messages that the processor rejected, or whose rows were none: 0 to 1. Looked at after a switch only.
    pub rejections_max: f64,
    /// Fewer messages than these decide nothing.
    pub messages_min: u64,
    /// Over which both are taken.
    pub window: Duration,
    /// How long after a switch the module before is the way out.
    pub probation: Duration,
}

/// What has to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Back to the module before.
    RollBack(String),
    /// No further messages until somebody acts.
    Pause(String),
}

/// The counts of one module.
#[derive(Debug)]
pub struct Breaker {
    limits: Limits,
    /// When it was switched to, if there is a module to go back to.
    on_probation_since: Option<Instant>,
    slices: VecDeque<Slice>,
    tripped: bool,
}

/// Counts of a short time.
#[derive(Debug)]
struct Slice {
    from: Instant,
    counts: Counts,
}

/// Messages of one or several calls, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    pub messages: u64,
    pub failures: u64,
    pub rejections: u64,
}

/// Slices of a window.
const SLICES: u32 = 10;

impl Breaker {
    /// For a module that was there at the start, or was rolled back to: there is no module to go back to.
    pub fn new(limits: Limits) -> Self {
        Self { limits, on_probation_since: None, slices: VecDeque::new(), tripped: false }
    }

    /// For a module that was switched to now.
    pub fn on_probation(limits: Limits, now: Instant) -> Self {
        Self { on_probation_since: Some(now), ..Self::new(limits) }
    }

    /// Adds a call. A verdict comes once.
    pub fn called(&mut self, counts: Counts, now: Instant) -> Option<Verdict> {
        if self.tripped {
            return None;
        }
        self.add(counts, now);
        let sum = self.slices.iter().fold(Counts::default(), |sum, slice| sum.plus(slice.counts));
        if sum.messages < self.limits.messages_min {
            return None;
        }
        let share = |part: u64| part as f64 / sum.messages as f64;
        let on_probation = self.on_probation_since.is_some_and(|since| now - since <= self.limits.probation);
        let text = |part: u64, what: &str, max: f64| {
            let (messages, most) = (sum.messages, max * 100.0);
            format!("{part} of the last {messages} messages {what}, {most} % may be")
        };
        let why = if share(sum.failures) > self.limits.failures_max {
            text(
                sum.failures,
                "made the processor fail (trap, deadline, memory, invalid answer)",
                self.limits.failures_max,
            )
        } else if on_probation && share(sum.rejections) > self.limits.rejections_max {
            text(sum.rejections, "were rejected", self.limits.rejections_max)
        } else {
            return None;
        };
        self.tripped = true;
        Some(if on_probation { Verdict::RollBack(why) } else { Verdict::Pause(why) })
    }

    fn add(&mut self, counts: Counts, now: Instant) {
        while self.slices.front().is_some_and(|oldest| now.saturating_duration_since(oldest.from) > self.limits.window)
        {
            self.slices.pop_front();
        }
        match self.slices.back_mut() {
            Some(last) if now.saturating_duration_since(last.from) < self.limits.window / SLICES => {
                last.counts = last.counts.plus(counts);
            }
            _ => self.slices.push_back(Slice { from: now, counts }),
        }
    }
}

impl Counts {
    /// Of a call with so many messages.
    pub fn of(messages: usize, parts: &[Processed]) -> Self {
        let mut counts = Self { messages: messages as u64, ..Self::default() };
        for letter in parts.iter().flat_map(|part| &part.dead_letters) {
            match letter.rejection.reason {
                Reason::Trap | Reason::Deadline | Reason::Memory | Reason::InvalidAnswer => counts.failures += 1,
                Reason::Invalid | Reason::InvalidRow => counts.rejections += 1,
                Reason::Schema => {}
            }
        }
        counts
    }

    fn plus(self, other: Self) -> Self {
        Self {
            messages: self.messages + other.messages,
            failures: self.failures + other.failures,
            rejections: self.rejections + other.rejections,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            failures_max: 0.1,
            rejections_max: 0.5,
            messages_min: 100,
            window: Duration::from_secs(30),
            probation: Duration::from_secs(300),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(messages: u64, failures: u64, rejections: u64) -> Counts {
        Counts { messages, failures, rejections }
    }

    #[test]
    fn a_new_module_that_fails_is_rolled_back_once() {
        let start = Instant::now();
        let mut breaker = Breaker::on_probation(Limits::default(), start);
        assert_eq!(breaker.called(call(99, 99, 0), start), None, "too few to decide");
        let verdict = breaker.called(call(1, 0, 0), start);
        assert!(
            matches!(&verdict, Some(Verdict::RollBack(why)) if why.starts_with("99 of the last 100 messages")),
            "{verdict:?}"
        );
        assert_eq!(breaker.called(call(100, 100, 0), start), None);
    }

    #[test]
    fn an_old_module_that_fails_is_paused_and_one_that_rejects_is_not() {
        let start = Instant::now();
        for mut breaker in [Breaker::new(Limits::default()), Breaker::on_probation(Limits::default(), start)] {
            let later = start + Duration::from_secs(301);
            assert_eq!(breaker.called(call(100, 10, 90), later), None);
            assert!(matches!(breaker.called(call(1, 1, 0), later), Some(Verdict::Pause(_))));
        }
    }

    #[test]
    fn a_new_module_that_rejects_is_rolled_back() {
        let start = Instant::now();
        let mut breaker = Breaker::on_probation(Limits::default(), start);
        assert_eq!(breaker.called(call(100, 0, 50), start), None);
        assert!(matches!(breaker.called(call(2, 0, 2), start), Some(Verdict::RollBack(_))));
    }

    #[test]
    fn what_is_longer_ago_than_the_window_is_forgotten() {
        let start = Instant::now();
        let mut breaker = Breaker::new(Limits::default());
        assert_eq!(breaker.called(call(90, 90, 0), start), None);
        for second in 31..=90 {
            assert_eq!(breaker.called(call(20, 0, 0), start + Duration::from_secs(second)), None, "second {second}");
        }
        assert!(breaker.slices.len() <= SLICES as usize + 1);
    }
}
