//! The commit log: records that say "group G has written partition P up to position N". Written after the commit is
//! acknowledged, readable by followers of the reference. Their bytes are those of crate `tidegate-commit-log`, which
//! whoever follows reads them with.

use std::sync::Arc;

pub use tidegate_commit_log::{DecodeError, Record};

use crate::offset::{Assignment, Counts, Covered, Partition};
use crate::publish;
use crate::recall::Standing;
use crate::share::Committed;
use crate::source::CommitNote;

/// The record of a position; it closes no range.
pub fn record(partition: &Partition, group: &str, standing: &Standing, (position, note): (i64, CommitNote)) -> Record {
    Record {
        topic: partition.topic.to_string(),
        partition: partition.number,
        group: group.to_owned(),
        offset: position,
        orig_message_ts: note.orig_message_ts,
        received_p99: note.received_p99,
        epoch: standing.epoch,
        topic_id: standing.topic_id.clone(),
        counts: None,
    }
}

/// The message that a record becomes in the log.
pub fn to_publish(record: &Record, log: &Arc<str>) -> publish::Record {
    publish::Record {
        topic: log.clone(),
        key: Some(record.key().into_bytes()),
        value: Some(record.value().into_bytes()),
        headers: Vec::new(),
    }
}

/// What is kept beside a committed position, so that its record can be written again.
pub fn note(covered: &Covered) -> CommitNote {
    CommitNote {
        orig_message_ts: seconds(covered.last_timestamp_ms.unwrap_or(0)),
        received_p99: p99(&covered.received_ms).map(seconds),
    }
}

/// One record for each partition of a commit, as their stays are standing.
pub fn records<'a>(
    committed: &Committed,
    group: &str,
    standing: impl Fn(&Partition, Assignment) -> &'a Standing,
) -> Vec<(Partition, Record)> {
    let notes = committed.notes().iter();
    let closing = |(partition, note): &(Partition, CommitNote)| {
        let covered = committed.progress().get(partition)?;
        let standing = standing(partition, covered.assignment);
        let record = record(partition, group, standing, (covered.range.end, *note));
        let counts = Counts { start: Some(covered.range.start), ..covered.counts.clone() };
        Some((partition.clone(), Record { counts: Some(counts), ..record }))
    };
    notes.filter_map(closing).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_reference() {
        let note = CommitNote { orig_message_ts: 1_696_381_946.0, received_p99: None };
        let partition = Partition::new("events", 0);
        let record = record(&partition, "snuba-consumers", &Standing::default(), (5, note));
        let published = to_publish(&record, &"log".into());
        assert_eq!(published.key.as_deref(), Some(&b"events:0:snuba-consumers"[..]));
        let value = r#"{"offset":5,"orig_message_ts":1696381946.0,"received_p99":null}"#;
        assert_eq!(published.value.as_deref(), Some(value.as_bytes()));
    }

    #[test]
    fn p99_is_the_largest_of_a_few_and_none_of_none() {
        assert_eq!(p99(&[]), None);
        assert_eq!(p99(&[3, 9, 1]), Some(9));
        assert_eq!(p99(&(0..200).collect::<Vec<_>>()), Some(198));
    }
}
