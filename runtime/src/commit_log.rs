//! The commit log: records that say "group G has written partition P up to position N". Written after the commit is
//! acknowledged, readable by followers of the reference; both of the reference's formats are read.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::offset::{Assignment, Counts, Covered, Partition};
use crate::publish;
use crate::share::Committed;
use crate::source::CommitNote;

/// One record. The wire calls a position `offset`: the next one to consume.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub topic: String,
    pub partition: i32,
    pub group: String,
    /// Next offset to consume: everything before it is written.
    pub offset: i64,
    /// Broker timestamp of the last message before `offset`, Unix seconds with milliseconds.
    pub orig_message_ts: f64,
    /// 99th percentile of when the range's messages were first received, Unix seconds with milliseconds.
    pub received_p99: Option<f64>,
    /// What became of the messages of the range that this record closes; none when it repeats an earlier one.
    pub counts: Option<Counts>,
}

/// A record that says nothing to us: skip it, count it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("not a commit-log record: {0}")]
pub struct DecodeError(String);

#[derive(Serialize, Deserialize)]
struct Value {
    offset: i64,
    orig_message_ts: Option<f64>,
    #[serde(default)]
    received_p99: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    counts: Option<WireCounts>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct WireCounts {
    messages: u64,
    inserted: u64,
    rows: u64,
    skipped: u64,
    #[serde(default)]
    unselected: u64,
    replacements: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    rewrites: u64,
    dead_letters: u64,
}

impl Record {
    pub fn new(partition: &Partition, group: &str, position: i64, note: CommitNote) -> Self {
        Self {
            topic: partition.topic.to_string(),
            partition: partition.number,
            group: group.to_owned(),
            offset: position,
            orig_message_ts: note.orig_message_ts,
            received_p99: note.received_p99,
            counts: None,
        }
    }

    /// `topic:partition:group`
    pub fn key(&self) -> String {
        format!("{}:{}:{}", self.topic, self.partition, self.group)
    }

    /// `{"offset":5,"orig_message_ts":1696381946.0,"received_p99":null}`, and our own fields after these.
    pub fn value(&self) -> String {
        let counts = self.counts.map(|counts| WireCounts {
            messages: counts.messages,
            inserted: counts.inserted,
            rows: counts.rows,
            skipped: counts.skipped,
            unselected: counts.unselected,
            replacements: counts.replacements,
            rewrites: counts.rewrites,
            dead_letters: counts.dead_letters,
        });
        let value = Value {
            offset: self.offset,
            orig_message_ts: Some(self.orig_message_ts),
            received_p99: self.received_p99,
            counts,
        };
        serde_json::to_string(&value).expect("numbers have a JSON text")
    }

    pub fn to_publish(&self, log: &Arc<str>) -> publish::Record {
        publish::Record {
            topic: log.clone(),
            key: Some(self.key().into_bytes()),
            value: Some(self.value().into_bytes()),
            headers: Vec::new(),
        }
    }

    /// The same position said again: it closes no range.
    pub fn repeated(&self) -> Self {
        Self { counts: None, ..self.clone() }
    }

    /// Reads both formats: JSON, and decimal digits with a header `orig_message_ts` (the header's text).
    ///
    /// # Errors
    /// If the key or the value is something else.
    pub fn decode(key: &[u8], value: &[u8], orig_message_ts: Option<&[u8]>) -> Result<Self, DecodeError> {
        let wrong = |text: &str| DecodeError(text.to_owned());
        let key = std::str::from_utf8(key).map_err(|_| wrong("the key is not UTF-8"))?;
        let mut parts = key.splitn(3, ':');
        let (Some(topic), Some(partition), Some(group)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(DecodeError(format!("the key {key:?} is not topic:partition:group")));
        };
        let number = partition.parse().ok().filter(|number| *number >= 0);
        let partition = number.ok_or_else(|| DecodeError(format!("partition {partition:?} in the key")))?;
        let text = std::str::from_utf8(value).map_err(|_| wrong("the value is not UTF-8"))?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let value = if digits {
            let offset = text.parse().map_err(|_| wrong("the offset is too large"))?;
            let at = orig_message_ts.and_then(|header| std::str::from_utf8(header).ok()).and_then(legacy_time);
            Value { offset, orig_message_ts: at, received_p99: None, counts: None }
        } else {
            serde_json::from_str(text).map_err(|error| DecodeError(format!("value: {error}")))?
        };
        if value.offset < 0 {
            return Err(wrong("the offset is negative"));
        }
        Ok(Self {
            topic: topic.to_owned(),
            partition,
            group: group.to_owned(),
            offset: value.offset,
            orig_message_ts: value.orig_message_ts.unwrap_or(0.0),
            received_p99: value.received_p99.filter(|at| *at != 0.0),
            counts: value.counts.map(WireCounts::plain),
        })
    }
}

impl WireCounts {
    fn plain(self) -> Counts {
        let WireCounts { messages, inserted, rows, skipped, unselected, replacements, rewrites, dead_letters } = self;
        Counts { messages, inserted, rows, skipped, unselected, replacements, rewrites, dead_letters }
    }
}

/// Most pipelines have none, and their records stay as they were.
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What is kept beside a committed position, so that its record can be written again.
pub fn note(covered: &Covered) -> CommitNote {
    CommitNote {
        orig_message_ts: seconds(covered.last_timestamp_ms.unwrap_or(0)),
        received_p99: p99(&covered.received_ms).map(seconds),
    }
}

/// One record for each partition of a commit.
pub fn records(committed: &Committed, group: &str) -> Vec<(Partition, Assignment, Record)> {
    let notes = committed.notes().iter();
    let record = |(partition, note): &(Partition, CommitNote)| {
        let covered = committed.progress().get(partition)?;
        let record = Record::new(partition, group, covered.range.end, *note);
        Some((partition.clone(), covered.assignment, Record { counts: Some(covered.counts), ..record }))
    };
    notes.filter_map(record).collect()
}

/// The value at index ⌊n × 0.99⌋ of the sorted times, as the reference takes it: the largest for fewer than 100.
fn p99(received_ms: &[i64]) -> Option<i64> {
    let mut sorted = received_ms.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() * 99 / 100).copied()
}

fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

/// `2023-10-04T01:12:26.000000Z`
fn legacy_time(text: &str) -> Option<f64> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut clock = clock.split(':');
    let (hour, minute) = (clock.next()?.parse::<f64>().ok()?, clock.next()?.parse::<f64>().ok()?);
    let second: f64 = clock.next()?.parse().ok()?;
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days =
        year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + day
            - 1
            - 719_468;
    Some(days as f64 * 86_400.0 + hour * 3600.0 + minute * 60.0 + second)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> Record {
        let note = CommitNote { orig_message_ts: 1_696_381_946.0, received_p99: None };
        Record::new(&Partition::new("events", 0), "snuba-consumers", 5, note)
    }

    #[test]
    fn bytes_are_those_of_the_reference() {
        assert_eq!(record().key(), "events:0:snuba-consumers");
        assert_eq!(record().value(), r#"{"offset":5,"orig_message_ts":1696381946.0,"received_p99":null}"#);
    }

    #[test]
    fn reads_the_legacy_form() {
        let read = Record::decode(b"events:0:g", b"70", Some(b"2023-10-04T01:12:26.250000Z")).unwrap();
        assert_eq!((read.offset, read.orig_message_ts), (70, 1_696_381_946.25));
        assert_eq!(Record::decode(b"events:0:g", b"70", None).unwrap().offset, 70);
    }

    #[test]
    fn nonsense_is_an_error_or_no_time() {
        for (key, value) in
            [("events:-1:g", "5"), ("events:0:g", "{\"offset\":-5,\"orig_message_ts\":1.0}"), ("events", "5")]
        {
            assert!(Record::decode(key.as_bytes(), value.as_bytes(), None).is_err(), "{key} {value}");
        }
        let far = b"9223372036854775807-01-01T00:00:00.0Z";
        assert_eq!(Record::decode(b"events:0:g", b"70", Some(far)).unwrap().orig_message_ts, 0.0);
    }

    #[test]
    fn a_group_may_contain_colons() {
        assert_eq!(Record::decode(b"events:0:a:b", b"1", None).unwrap().group, "a:b");
    }

    #[test]
    fn p99_is_the_largest_of_a_few_and_none_of_none() {
        assert_eq!(p99(&[]), None);
        assert_eq!(p99(&[3, 9, 1]), Some(9));
        assert_eq!(p99(&(0..200).collect::<Vec<_>>()), Some(198));
    }

    proptest! {
        #[test]
        fn decode_of_encode_is_the_same(
            offset in 0i64..i64::MAX,
            orig_ms in 0i64..4_000_000_000_000,
            p99_ms in proptest::option::of(1i64..4_000_000_000_000),
            rows in proptest::option::of(0u64..1_000_000),
        ) {
            let note = CommitNote { orig_message_ts: seconds(orig_ms), received_p99: p99_ms.map(seconds) };
            let record = Record {
                counts: rows.map(|rows| Counts { messages: rows, inserted: rows, rows, ..Counts::default() }),
                ..Record::new(&Partition::new("t", 3), "g:h", offset, note)
            };
            let read = Record::decode(record.key().as_bytes(), record.value().as_bytes(), None).unwrap();
            prop_assert_eq!(read, record);
        }

        #[test]
        fn decode_never_panics(key in any::<Vec<u8>>(), value in any::<Vec<u8>>(), header in any::<Option<Vec<u8>>>()) {
            let _ = Record::decode(&key, &value, header.as_deref());
            let _ = Record::decode(b"t:0:g", &value, header.as_deref());
        }
    }
}
