//! What is done with rejected messages: published with their origin, dropped on purpose, or a reason to stop.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::now_ms;
use crate::outcome::{DeadLetter, Reason};
use crate::publish::Record;

/// The rules of one pipeline, and how often they were needed lately.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    topic: Option<Arc<str>>,
    on: BTreeMap<Reason, Policy>,
    limits: Limits,
    window: Window,
    consecutive: u64,
}

/// What to do with a rejected message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    #[default]
    Publish,
    Skip,
    Stop,
}

/// When rejected messages are too many to go on. `None`: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Share of the messages of the last `window`.
    pub ratio_max: Option<f64>,
    /// Messages over which the ratio is taken.
    pub window: u64,
    /// Messages in batches of which every one was rejected.
    pub consecutive_max: Option<u64>,
}

/// What the rules say of one letter.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Publish(Record),
    Skip,
    /// With the reason to show.
    Stop(String),
}

/// Batches up to the size of the window: messages and how many of them were rejected.
#[derive(Clone, Debug, Default)]
struct Window {
    batches: std::collections::VecDeque<(u64, u64)>,
    messages: u64,
    rejected: u64,
}

impl DeadLetters {
    /// Without a topic, a letter whose policy is `Publish` stops the pipeline: nothing is dropped by omission.
    pub fn new(topic: Option<Arc<str>>, on: BTreeMap<Reason, Policy>, limits: Limits) -> Self {
        Self { topic, on, limits, window: Window::default(), consecutive: 0 }
    }

    pub fn verdict(&self, letter: &DeadLetter) -> Verdict {
        let at = format!("{}@{}", letter.partition, letter.offset);
        match (self.on.get(&letter.rejection.reason).copied().unwrap_or_default(), &self.topic) {
            (Policy::Publish, Some(topic)) => Verdict::Publish(record(letter, topic.clone(), now_ms())),
            (Policy::Publish, None) => Verdict::Stop(format!(
                "processor {:?} rejected {at} ({}) and there is no dead-letter topic",
                letter.module.name, letter.rejection
            )),
            (Policy::Skip, _) => Verdict::Skip,
            (Policy::Stop, _) => {
                Verdict::Stop(format!("processor {:?} rejected {at} ({})", letter.module.name, letter.rejection))
            }
        }
    }

    /// Counts a batch by the messages selected of it. The answer is why the pipeline must stop, if it must.
    pub fn observe(&mut self, messages: u64, rejected: u64) -> Option<String> {
        if messages == 0 {
            return None;
        }
        self.window.push(messages, rejected, self.limits.window);
        self.consecutive = if messages == rejected { self.consecutive + rejected } else { 0 };
        if let Some(max) = self.limits.consecutive_max
            && self.consecutive > max
        {
            return Some(format!("{} messages in a row were rejected, {max} are allowed", self.consecutive));
        }
        let ratio_max = self.limits.ratio_max?;
        let (messages, rejected) = (self.window.messages, self.window.rejected);
        let exceeded = messages >= self.limits.window && rejected as f64 > ratio_max * messages as f64;
        exceeded.then(|| format!("{rejected} of the last {messages} messages were rejected, {ratio_max} is allowed"))
    }
}

impl Window {
    fn push(&mut self, messages: u64, rejected: u64, size: u64) {
        self.batches.push_back((messages, rejected));
        self.messages += messages;
        self.rejected += rejected;
        while let Some((first, guilty)) = self.batches.front().copied()
            && self.messages - first >= size
        {
            self.batches.pop_front();
            self.messages -= first;
            self.rejected -= guilty;
        }
    }
}

/// Key, value and headers of the original, plus where it came from and why it is here.
fn record(letter: &DeadLetter, topic: Arc<str>, now_ms: i64) -> Record {
    let mut headers = letter.headers.clone();
    let module = &letter.module;
    headers.extend(
        [
            ("tidegate-topic", letter.partition.topic.to_string()),
            ("tidegate-partition", letter.partition.number.to_string()),
            ("tidegate-offset", letter.offset.to_string()),
            ("tidegate-timestamp", letter.timestamp_ms.to_string()),
            ("tidegate-reason", letter.rejection.reason.to_string()),
            ("tidegate-detail", letter.rejection.detail.clone()),
            ("tidegate-processor", module.name.clone()),
            ("tidegate-version", module.version.clone()),
            ("tidegate-digest", module.digest.hex()),
            ("tidegate-time", now_ms.to_string()),
            // The names that readers of the reference look for.
            ("original_partition", letter.partition.number.to_string()),
            ("original_offset", letter.offset.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value.into_bytes())),
    );
    Record { topic, key: letter.key.clone(), value: letter.payload.clone(), headers }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_which_nothing_was_selected_change_nothing() {
        let limits = Limits { ratio_max: Some(0.5), window: 10, consecutive_max: Some(2) };
        let mut letters = DeadLetters::new(None, BTreeMap::new(), limits);
        assert_eq!(letters.observe(2, 2), None);
        for _ in 0..100 {
            assert_eq!(letters.observe(0, 0), None);
        }
        assert_eq!(letters.window.batches.len(), 1);
        assert_eq!(letters.observe(1, 1).as_deref(), Some("3 messages in a row were rejected, 2 are allowed"));
    }
}
