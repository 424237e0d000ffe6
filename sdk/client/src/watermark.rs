//! What a commit log has said so far: the highest record of every key, whether its end has been reached, and which topics
//! the records are about. Records may come in any order, doubled, and from several partitions.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_commit_log::{Key, Record};

use crate::gate::Fact;

/// How far a group has written a partition. Ordered by epoch, then by position, so that a group can go back on purpose
/// and a late record of an earlier life changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark {
    pub epoch: u64,
    /// Everything before it is written.
    pub position: i64,
}

/// What a record has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It said nothing new.
    None,
    /// The group has come further, or is heard of for the first time.
    Raised,
    /// A higher epoch with a lower position: the group has gone back on purpose.
    Rewound { from: i64, to: i64 },
}

/// The commit log as a table. It holds [`Key`]s of all groups it is told of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Watermarks {
    /// By what the records call their topic; `None` for records that do not.
    marks: BTreeMap<Key, BTreeMap<Option<String>, Mark>>,
    /// The topics that have the names now, by id.
    topics: BTreeMap<String, String>,
    partitions: u32,
    ended: BTreeSet<i32>,
}

impl Watermarks {
    /// So many partitions has the commit log; 0 when it is not there.
    pub fn set_partitions(&mut self, count: u32) {
        self.partitions = count;
        self.ended.retain(|partition| i64::from(*partition) < i64::from(count));
    }

    /// A partition of the commit log has been read to the end that it had.
    pub fn end(&mut self, partition: i32) {
        if (0..i64::from(self.partitions)).contains(&i64::from(partition)) {
            self.ended.insert(partition);
        }
    }

    /// Whether all partitions have been read to their end. Before that nothing may be opened: a later record may say less
    /// than an earlier one (invariant 8).
    pub fn is_loaded(&self) -> bool {
        self.partitions > 0 && self.ended.len() as u32 == self.partitions
    }

    /// Merges by maximum, so that order, doubling and the partition it came by do not matter (invariants 6 and 7).
    pub fn record(&mut self, record: &Record) -> Change {
        let key = Key::of(record);
        let before = self.mark(&key);
        let read = Mark { epoch: record.epoch, position: record.offset };
        let of_topic = self.marks.entry(key.clone()).or_default();
        let mark = of_topic.entry(record.topic_id.clone()).or_insert(read);
        *mark = read.max(*mark);
        match (before, self.mark(&key)) {
            (Some(from), Some(to)) if to.position < from.position => {
                Change::Rewound { from: from.position, to: to.position }
            }
            (before, after) if before == after => Change::None,
            _ => Change::Raised,
        }
    }

    /// A record without a value: the key is known no longer.
    pub fn forget(&mut self, key: &Key) {
        self.marks.remove(key);
    }

    /// The topic of this name has this id now; `None` when that must be asked for again.
    pub fn set_topic(&mut self, topic: &str, id: Option<&str>) {
        match id {
            Some(id) => self.topics.insert(topic.to_owned(), id.to_owned()),
            None => self.topics.remove(topic),
        };
    }

    /// The highest mark of a key. Once any record of a key names its topic by id, only those that name the topic that is
    /// there now count (invariant 14).
    pub fn mark(&self, key: &Key) -> Option<Mark> {
        let of_topic = self.marks.get(key)?;
        if of_topic.keys().any(Option::is_some) {
            of_topic.get(&Some(self.topics.get(&key.topic)?.clone())).copied()
        } else {
            of_topic.get(&None).copied()
        }
    }

    /// Whether records of this key say which topic they are about.
    pub fn names_topic(&self, key: &Key) -> bool {
        self.marks.get(key).is_some_and(|of_topic| of_topic.keys().any(Option::is_some))
    }

    /// All that is known of the log, as it would be told to somebody who comes now.
    pub(crate) fn facts(&self) -> Vec<Fact> {
        let records = self.marks.iter().flat_map(|(key, of_topic)| of_topic.iter().map(move |found| (key, found)));
        let records = records.map(|(key, (topic_id, mark))| {
            Fact::Record(Record {
                topic: key.topic.clone(),
                partition: key.partition,
                group: key.group.clone(),
                offset: mark.position,
                epoch: mark.epoch,
                topic_id: topic_id.clone(),
                ..Record::default()
            })
        });
        let ends = self.ended.iter().map(|partition| Fact::LogEnd(*partition));
        std::iter::once(Fact::LogPartitions(self.partitions)).chain(records).chain(ends).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records() -> impl Strategy<Value = Vec<Record>> {
        let record = (0i32..2, 0usize..2, 0u64..3, 0i64..5, proptest::option::of("[ab]"));
        let record = record.prop_map(|(partition, group, epoch, offset, topic_id)| Record {
            topic: "t".into(),
            partition,
            group: ["g", "h"][group].into(),
            offset,
            epoch,
            topic_id,
            ..Record::default()
        });
        proptest::collection::vec(record, 0..12)
    }

    fn read(records: &[Record]) -> Watermarks {
        let mut watermarks = Watermarks::default();
        watermarks.set_topic("t", Some("a"));
        records.iter().for_each(|record| {
            watermarks.record(record);
        });
        watermarks
    }

    proptest! {
        #[test]
        fn order_and_doubling_do_not_matter(
            (records, shuffled) in records().prop_flat_map(|r| (Just(r.clone()), Just(r).prop_shuffle())),
            again in any::<prop::sample::Index>(),
        ) {
            let mut doubled = shuffled;
            if !doubled.is_empty() {
                doubled.push(doubled[again.index(doubled.len())].clone());
            }
            prop_assert_eq!(read(&records), read(&doubled));
        }

        #[test]
        fn a_mark_never_falls(records in records(), topic_ids: bool) {
            let mut watermarks = read(&[]);
            for mut record in records {
                record.topic_id = topic_ids.then(|| "a".to_owned());
                let before = watermarks.mark(&Key::of(&record));
                watermarks.record(&record);
                prop_assert!(watermarks.mark(&Key::of(&record)) >= before);
            }
        }
    }

    #[test]
    fn it_is_loaded_when_every_partition_has_ended() {
        let mut watermarks = Watermarks::default();
        assert!(!watermarks.is_loaded());
        watermarks.set_partitions(2);
        watermarks.end(0);
        watermarks.end(0);
        watermarks.end(2);
        assert!(!watermarks.is_loaded());
        watermarks.end(1);
        assert!(watermarks.is_loaded());
        watermarks.set_partitions(3);
        assert!(!watermarks.is_loaded());
        watermarks.set_partitions(0);
        assert!(!watermarks.is_loaded());
    }
}
