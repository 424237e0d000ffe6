//! The notes that committed offsets carry: what a group's pipelines have said of their positions.

use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use crate::source::{GroupNote, LastCommit};

/// What a group has committed, of each partition in the order in which they were asked for; none where it has
/// committed nothing.
///
/// # Errors
/// The one that the coordinator has for a partition.
pub(super) fn last_commits(told: &TopicPartitionList) -> KafkaResult<Vec<(i32, Option<LastCommit>)>> {
    let elements = told.elements().into_iter().enumerate();
    let last = elements.map(|(index, element)| {
        element.error()?;
        let committed = match element.offset() {
            Offset::Offset(position) => {
                Some(LastCommit { position, note: note(metadata(told, index)).unwrap_or_default() })
            }
            _ => None,
        };
        Ok((element.partition(), committed))
    });
    last.collect()
}

/// Adds a position and its note to what is to be committed.
///
/// # Errors
/// For an offset that is none.
pub(super) fn add(
    list: &mut TopicPartitionList,
    topic: &str,
    partition: i32,
    position: i64,
    note: &GroupNote,
) -> KafkaResult<()> {
    list.add_partition_offset(topic, partition, Offset::Offset(position))?;
    if let Some(mut element) = list.find_partition(topic, partition) {
        element.set_metadata(serde_json::to_string(note).expect("numbers have a JSON text"));
    }
    Ok(())
}

/// Ours is JSON; some clients store a zero byte at the end, and others have notes of their own.
fn note(metadata: &[u8]) -> Option<GroupNote> {
    let end = metadata.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    serde_json::from_slice(&metadata[..end]).ok()
}

/// The note beside a committed offset. rust-rdkafka hands it out as text and panics where it is none; other clients may
/// have left anything there.
fn metadata(list: &TopicPartitionList, index: usize) -> &[u8] {
    // SAFETY: the list is alive, `index` is below its count, and librdkafka gives the length beside the pointer.
    unsafe {
        let list = &*list.ptr();
        assert!(index < usize::try_from(list.cnt).unwrap_or(0), "an element of this list");
        let element = &*list.elems.add(index);
        if element.metadata.is_null() {
            return &[];
        }
        std::slice::from_raw_parts(element.metadata.cast::<u8>(), element.metadata_size)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::source::{CommitNote, Place};

    #[test]
    fn notes_of_others_are_passed_over() {
        let first = Some(CommitNote { orig_message_ts: 5.25, received_p99: None });
        let ours = note(b"{\"orig_message_ts\":5.25,\"received_p99\":null}\0");
        assert_eq!(ours, Some(GroupNote { first, pipelines: BTreeMap::new() }));
        let ours = note(
            b"{\"orig_message_ts\":5.25,\"received_p99\":null,\"pipelines\":{\"a\":{\"position\":7,\"note\":null}}}",
        );
        let a = ("a".to_owned(), Place { position: 7, note: None });
        assert_eq!(ours, Some(GroupNote { first, pipelines: [a].into() }));
        assert_eq!(note(b""), None);
        assert_eq!(note(b"consumer-\xff"), None);
    }
}
