//! Records of the commit log, bytes and back: "group G has written partition P up to position N". Writers and readers use
//! this one piece of code. It knows no Kafka and decides nothing; what a record opens is for `tidegate-client` to say.

mod legacy;
mod partition;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use partition::Partition;

/// What a record is about; its bytes are the key of the Kafka message, so that compaction keeps the last record of each.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub topic: String,
    pub partition: i32,
    pub group: String,
}

/// One record. The wire calls a position `offset`: the next one to consume.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    pub topic: String,
    pub partition: i32,
    pub group: String,
    /// Next offset to consume: everything before it is written.
    pub offset: i64,
    /// Broker timestamp of the last message before `offset`, Unix seconds with milliseconds; 0 when it is not known.
    pub orig_message_ts: f64,
    /// 99th percentile of when the range's messages were first received, Unix seconds with milliseconds.
    pub received_p99: Option<f64>,
    /// Rises when the group goes back on purpose, so that a lower position can replace a higher one. 0 when there is none.
    pub epoch: u64,
    /// Which of the topics that ever had this name, as Kafka prints its id; none when the writer does not say.
    pub topic_id: Option<String>,
    /// What became of the messages of the range that this record closes; none when it repeats an earlier one.
    pub counts: Option<Counts>,
}

/// What became of the messages of a range. The outcomes sum to `messages`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    pub messages: u64,
    /// Messages that became rows.
    pub inserted: u64,
    /// Rows of these, and rows written before rewrites, over all storages.
    pub rows: u64,
    pub skipped: u64,
    /// Messages that the pipeline did not select.
    pub unselected: u64,
    pub replacements: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub rewrites: u64,
    pub dead_letters: u64,
    /// Of `rows`, those of each storage, by its name; one without rows is left out. Empty when the writer does not say.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub storages: BTreeMap<String, u64>,
    /// First offset of the range, which ends before the record's `offset`; none when the writer does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<i64>,
}

/// A message that is no record: count it, pass over it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("not a commit-log record: {0}")]
pub struct DecodeError(String);

#[derive(Serialize, Deserialize)]
struct Value {
    offset: i64,
    orig_message_ts: Option<f64>,
    #[serde(default)]
    received_p99: Option<f64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    epoch: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    counts: Option<Counts>,
}

impl Counts {
    /// The sums. `start` is a place and no count: it stays what it is.
    pub fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.inserted += other.inserted;
        self.rows += other.rows;
        self.skipped += other.skipped;
        self.unselected += other.unselected;
        self.replacements += other.replacements;
        self.rewrites += other.rewrites;
        self.dead_letters += other.dead_letters;
        other.storages.iter().for_each(|(storage, rows)| self.add_to_storage(storage, *rows));
    }

    /// Counts rows of a storage.
    pub fn add_rows(&mut self, storage: &str, rows: u64) {
        self.rows += rows;
        self.add_to_storage(storage, rows);
    }

    fn add_to_storage(&mut self, storage: &str, rows: u64) {
        match self.storages.get_mut(storage) {
            Some(sum) => *sum += rows,
            None => drop(self.storages.insert(storage.to_owned(), rows)),
        }
    }

    /// Every message has exactly one outcome.
    pub fn is_complete(&self) -> bool {
        let settled = self.inserted + self.skipped + self.unselected + self.replacements + self.rewrites;
        self.messages == settled + self.dead_letters
    }
}

impl Key {
    /// Reads `topic:partition:group`. The group may contain colons, a topic cannot.
    ///
    /// # Errors
    /// If the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let key = std::str::from_utf8(bytes).map_err(|_| DecodeError::new("the key is not UTF-8"))?;
        let mut parts = key.splitn(3, ':');
        let (Some(topic), Some(partition), Some(group)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(DecodeError(format!("the key {key:?} is not topic:partition:group")));
        };
        if topic.is_empty() || group.is_empty() {
            return Err(DecodeError(format!("the key {key:?} names no topic or no group")));
        }
        let number = if is_digits(partition) { partition.parse().ok() } else { None };
        let partition = number.ok_or_else(|| DecodeError(format!("partition {partition:?} in the key")))?;
        Ok(Self { topic: topic.to_owned(), partition, group: group.to_owned() })
    }

    /// What a record is about.
    pub fn of(record: &Record) -> Self {
        Self { topic: record.topic.clone(), partition: record.partition, group: record.group.clone() }
    }
}

impl Record {
    /// `topic:partition:group`
    pub fn key(&self) -> String {
        format!("{}:{}:{}", self.topic, self.partition, self.group)
    }

    /// `{"offset":5,"orig_message_ts":1696381946.0,"received_p99":null}`, and our own fields after these.
    pub fn value(&self) -> String {
        let value = Value {
            offset: self.offset,
            orig_message_ts: Some(self.orig_message_ts),
            received_p99: self.received_p99,
            epoch: self.epoch,
            topic_id: self.topic_id.clone(),
            counts: self.counts.clone(),
        };
        serde_json::to_string(&value).expect("numbers and texts have a JSON text")
    }

    /// The same position said again: it closes no range.
    pub fn repeated(&self) -> Self {
        Self { counts: None, ..self.clone() }
    }

    /// Reads both formats: JSON, and decimal digits with a header `orig_message_ts` (the header's text). Fields that are
    /// not known are passed over.
    ///
    /// # Errors
    /// If the key or the value is something else.
    pub fn decode(key: &[u8], value: &[u8], orig_message_ts: Option<&[u8]>) -> Result<Self, DecodeError> {
        let Key { topic, partition, group } = Key::decode(key)?;
        let text = std::str::from_utf8(value).map_err(|_| DecodeError::new("the value is not UTF-8"))?;
        let value = if is_digits(text) { digits(text, orig_message_ts)? } else { json(text)? };
        let start = value.counts.as_ref().and_then(|counts| counts.start);
        if value.offset < 0 || start.is_some_and(|start| start < 0) {
            return Err(DecodeError::new("an offset is negative"));
        }
        Ok(Self {
            topic,
            partition,
            group,
            offset: value.offset,
            orig_message_ts: value.orig_message_ts.unwrap_or(0.0),
            received_p99: value.received_p99.filter(|at| *at != 0.0),
            epoch: value.epoch,
            topic_id: value.topic_id,
            counts: value.counts,
        })
    }
}

impl DecodeError {
    fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// A header that is no time is none: the position is what matters.
fn digits(text: &str, orig_message_ts: Option<&[u8]>) -> Result<Value, DecodeError> {
    let offset = text.parse().map_err(|_| DecodeError::new("the offset is too large"))?;
    let at = orig_message_ts.and_then(|header| std::str::from_utf8(header).ok()).and_then(legacy::seconds);
    Ok(Value { offset, orig_message_ts: at, received_p99: None, epoch: 0, topic_id: None, counts: None })
}

/// An object: the reader of structs would take an array too.
fn json(text: &str) -> Result<Value, DecodeError> {
    if !text.trim_start().starts_with('{') {
        return Err(DecodeError::new("the value is neither digits nor a JSON object"));
    }
    serde_json::from_str(text).map_err(|error| DecodeError(format!("value: {error}")))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Most records have none, and stay as the reference writes them.
fn is_zero(count: &u64) -> bool {
    *count == 0
}
