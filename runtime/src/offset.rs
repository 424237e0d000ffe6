//! Offsets as a small algebra: partitions, half-open ranges, and the progress a batch stands for.
//! Nothing here knows Kafka or ClickHouse.

use std::collections::BTreeMap;
use std::fmt;

pub use tidegate_commit_log::{Counts, Partition};

/// One stay of a partition with this process, from assignment to revocation. It rises with every assignment, so that
/// work of an earlier stay can be told from work of this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Assignment(pub u64);

/// The offsets `[start..end)` of one partition; `end` is a position: the offset to read next.
///
/// Offsets inside a range may be missing in the topic (compaction, transaction markers); they count as covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub start: i64,
    pub end: i64,
}

/// How far one partition is carried by a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Covered {
    pub assignment: Assignment,
    pub range: Range,
    /// Broker timestamp of the last message, milliseconds since 1970; `None` while no message was seen.
    pub last_timestamp_ms: Option<i64>,
    /// When the messages were first received by the system that sent them, milliseconds since 1970; known ones only.
    pub received_ms: Vec<i64>,
    /// Rows are counted where they are put into blocks, when it is known for which storages.
    pub counts: Counts,
}

/// The ranges a batch covers, at most one per partition. It travels in the same value as the rows, so it cannot
/// overtake them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress(BTreeMap<Partition, Covered>);

impl Range {
    /// # Panics
    /// If `end < start`: such a range is our own bug.
    pub fn new(start: i64, end: i64) -> Self {
        assert!(start <= end, "range [{start}..{end}) runs backwards");
        Self { start, end }
    }
}

impl Progress {
    /// Adds what comes after. Ranges of the same stay are joined; a later stay replaces an earlier one, because what
    /// the earlier one covered may not be committed any more.
    ///
    /// | have | later | result |
    /// |---|---|---|
    /// | nothing | `[5..9)` | `[5..9)` |
    /// | `[2..5)` | `[5..9)` | `[2..9)` |
    /// | `[2..5)` | `[7..9)` (5, 6 compacted away) | `[2..9)` |
    /// | `[2..5)` stay 1 | `[3..9)` stay 2 | `[3..9)` stay 2 |
    ///
    /// # Panics
    /// If a range of the same stay starts before the end of what is there: batches out of order are our own bug.
    pub fn append(&mut self, later: Progress) {
        for (partition, next) in later.0 {
            self.cover(partition, next);
        }
    }

    /// Adds one partition's part; see [`append`](Self::append).
    pub fn cover(&mut self, partition: Partition, next: Covered) {
        match self.0.get_mut(&partition) {
            Some(have) if have.assignment == next.assignment => have.extend(&partition, next),
            Some(have) => {
                assert!(have.assignment < next.assignment, "{partition}: an earlier assignment came later");
                *have = next;
            }
            None => {
                self.0.insert(partition, next);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, partition: &Partition) -> Option<&Covered> {
        self.0.get(partition)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Partition, &Covered)> {
        self.0.iter()
    }

    pub fn get_mut(&mut self, partition: &Partition) -> Option<&mut Covered> {
        self.0.get_mut(partition)
    }

    /// Keeps the partitions for which `keep` holds, and returns the others.
    pub fn split_off(&mut self, mut drop: impl FnMut(&Partition, &Covered) -> bool) -> Progress {
        Progress(self.0.extract_if(.., |partition, covered| drop(partition, covered)).collect())
    }

    /// Sum over the partitions.
    pub fn counts(&self) -> Counts {
        self.0.values().fold(Counts::default(), |mut sum, covered| {
            sum.add(&covered.counts);
            sum
        })
    }
}

impl Covered {
    fn extend(&mut self, partition: &Partition, next: Covered) {
        let (have, more) = (self.range, next.range);
        assert!(have.end <= more.start, "{partition}: {more} follows {have} although they overlap");
        self.range = Range::new(have.start, more.end);
        self.last_timestamp_ms = next.last_timestamp_ms.or(self.last_timestamp_ms);
        self.received_ms.extend_from_slice(&next.received_ms);
        self.counts.add(&next.counts);
    }
}

impl FromIterator<(Partition, Covered)> for Progress {
    fn from_iter<I: IntoIterator<Item = (Partition, Covered)>>(parts: I) -> Self {
        let mut progress = Progress::default();
        for (partition, covered) in parts {
            progress.cover(partition, covered);
        }
        progress
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}..{})", self.start, self.end)
    }
}
