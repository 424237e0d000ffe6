//! Whether a commit log is true: what its records say is added up and compared with the group's positions, with what the topic
//! has, and with the rows of tables. Nothing is changed; whoever writes meanwhile is let be.
//!
//! ```text
//! ledger   the log as it is read      account     the ranges of one group and partition
//! judge    a range and a table        comparison  a partition and a table
//! finding  what is wrong, or not known, and where
//! ```

mod account;
mod comparison;
mod finding;
mod judge;
mod ledger;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use comparison::{Comparison, pieces};

pub use account::{Account, Oddity, Said, Segment, State};
pub use finding::{Finding, Kind, Rows, joined};
pub use judge::{Expected, Verdict};
pub use ledger::{Chosen, Entry, Last, Ledger, Message};

use crate::clickhouse::{self, Comparable, Keeps};
use crate::offset::{Partition, Range};

/// A partition of a pipeline, as Kafka and the log have it.
#[derive(Clone, Debug)]
pub struct Subject {
    pub partition: Partition,
    /// None when the log says nothing.
    pub account: Option<Account>,
    /// What the log says of other topics of this name: an id, where it is said, and how far.
    pub others: Vec<(Option<String>, i64)>,
    /// What the topic has.
    pub has: Range,
    /// How far the pipeline has committed; asked after the log was read.
    pub committed: Option<i64>,
    /// Whether the group has members, so that a record may be on its way.
    pub is_running: bool,
}

/// A storage of the pipeline, and what can be asked of its table.
pub struct Compared {
    pub storage: String,
    pub table: Comparable,
}

/// What was found of a partition.
#[derive(Clone, Debug)]
pub struct Checked {
    pub subject: Subject,
    /// Rows that the records speak of, and those that are there, by storage; of the ranges that could be compared.
    pub rows: BTreeMap<String, Rows>,
    pub findings: Vec<Finding>,
}

impl Subject {
    /// Compares the partition with all tables.
    ///
    /// # Errors
    /// If a cluster does not answer.
    pub async fn check(mut self, tables: &[Compared]) -> Result<Checked, clickhouse::Error> {
        let mut findings = self.positions();
        if let (Some(account), Some(committed), false) = (&mut self.account, self.committed, self.is_running) {
            account.reaches(committed);
        }
        let Some(account) = &self.account else {
            return Ok(Checked { subject: self, rows: BTreeMap::new(), findings });
        };
        let oddities = account.oddities().iter();
        findings.extend(oddities.map(|oddity| Finding::of_oddity(&self.partition, oddity)));
        let (mut rows, mut skips) = (BTreeMap::new(), Skips::of(account));
        for Compared { storage, table } in tables {
            let Comparable::ByOffset(table) = table else { continue };
            let mut comparison = Comparison::new(&self.partition, storage, tables.len() == 1, table);
            comparison.run(self.comparable_segments()).await?;
            rows.insert(storage.clone(), comparison.rows);
            findings.extend(joined(comparison.findings));
            comparison.skipped.into_iter().for_each(|(range, offsets)| skips.add(range, storage, offsets));
        }
        findings.extend(skips.0.iter().map(|(range, found)| self.skipped(*range, found)));
        findings.extend(joined(self.not_known()));
        Ok(Checked { subject: self, rows, findings })
    }

    /// Positions of the group, the log and the topic.
    fn positions(&self) -> Vec<Finding> {
        let finding = |kind, start: i64, end: i64, text: String| {
            Finding::new(kind, &self.partition, Some(Range::new(start.min(end), start.max(end))), text)
        };
        let mut findings = Vec::new();
        let last = self.account.as_ref().and_then(|account| account.last);
        match (last.map(|last| last.position), self.committed) {
            // A group that several share is somewhere before each of them has done something.
            (None, Some(committed)) if committed > self.has.start && !self.is_running => {
                let text = format!("the group has committed {committed}, and the log has no record of it");
                findings.push(finding(Kind::Position, committed, committed, text));
            }
            (Some(said), None) => {
                let text = format!("the log says {said}, and the group has committed nothing");
                findings.push(finding(Kind::Position, said, said, text));
            }
            (Some(said), Some(committed)) if committed < said => {
                let text = format!(
                    "the log says {said}, and the group has committed {committed}: it was set back, and followers were not told"
                );
                findings.push(finding(Kind::Position, committed, said, text));
            }
            (Some(said), Some(committed)) if committed > said && self.is_running => {
                let text = "is committed, and its record may be on its way".to_owned();
                findings.push(finding(Kind::InFlight, said, committed, text));
            }
            _ => {}
        }
        let Some(position) = self.committed.or(last.map(|last| last.position)) else { return findings };
        if position < self.has.start {
            let text = format!("was deleted from the topic before it was read; the topic has {}", self.has);
            findings.push(finding(Kind::Deleted, position, self.has.start, text));
        }
        if position > self.has.end {
            let text = format!(
                "the position {position} is beyond the end {}: the topic was made anew, or lost its end",
                self.has.end
            );
            findings.push(finding(Kind::Position, self.has.end, position, text));
        }
        findings
    }

    /// Rows below it may be those of another topic of this name.
    fn others_end(&self) -> i64 {
        self.others.iter().map(|(_, end)| *end).max().unwrap_or(0)
    }

    /// Those that are about this topic for sure, in pieces that a question can be about.
    fn comparable_segments(&self) -> impl Iterator<Item = Segment> {
        let segments = self.account.iter().flat_map(Account::segments);
        let comparable =
            segments.filter(|segment| segment.state != State::Unknown && segment.range.start >= self.others_end());
        comparable.flat_map(pieces)
    }

    fn skipped(&self, range: Range, found: &BTreeMap<&str, u64>) -> Finding {
        let offsets = (range.end - range.start).unsigned_abs();
        if let Some((storage, _)) = found.iter().find(|(_, found)| **found == offsets) {
            let text =
                format!("no record closes these {offsets} offset(s), but storage {storage} has rows of all of them");
            return Finding::new(Kind::NotKnown, &self.partition, Some(range), text);
        }
        let found = found.iter().map(|(storage, found)| format!("storage {storage} has rows of {found}"));
        let found: Vec<_> = found.collect();
        let of_them = if found.is_empty() { String::new() } else { format!(": {}", found.join(", ")) };
        let text = format!("the position went over these {offsets} offset(s), and no record closes them{of_them}");
        Finding::new(Kind::Skipped, &self.partition, Some(range), text)
    }

    fn not_known(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (id, end) in &self.others {
            let whose = match id {
                Some(id) => format!("the log has records of another topic of this name, {id}"),
                None => "the log has records that do not say of which topic they are".to_owned(),
            };
            let text = format!("{whose}: rows of these offsets cannot be told apart");
            findings.push(Finding::new(Kind::NotKnown, &self.partition, Some(Range::new(0, *end)), text));
        }
        let segments = self.account.iter().flat_map(Account::segments);
        let unknown = segments.filter(|segment| segment.state == State::Unknown).map(|segment| {
            Finding::new(
                Kind::NotKnown,
                &self.partition,
                Some(segment.range),
                "what closes it is not in the log any more",
            )
        });
        findings.extend(unknown);
        findings
    }
}

/// Ranges that no record closes, and how many of their offsets have rows all the same, by storage.
struct Skips<'a>(Vec<(Range, BTreeMap<&'a str, u64>)>);

impl<'a> Skips<'a> {
    fn of(account: &Account) -> Self {
        let skipped = account.segments().iter().filter(|segment| segment.state == State::Skipped);
        Self(skipped.map(|segment| (segment.range, BTreeMap::new())).collect())
    }

    /// Adds what a part of a range has.
    fn add(&mut self, part: Range, storage: &'a str, offsets: u64) {
        let holds = |range: &Range| range.start <= part.start && part.end <= range.end;
        for (_, found) in self.0.iter_mut().filter(|(range, _)| holds(range)) {
            *found.entry(storage).or_default() += offsets;
        }
    }
}

/// What can be said of a table without the columns that tell its rows apart: how many rows there are in all.
/// `expected` is what the log says of all partitions, `is_whole` whether it says all of them from the beginning of the topic.
pub fn by_sum(storage: &str, expected: u64, rows: u64, keeps: Keeps, is_whole: bool) -> Finding {
    let kind = match (rows.cmp(&expected), keeps) {
        (Ordering::Less, Keeps::All) => Kind::Missing,
        (Ordering::Greater, Keeps::All) if is_whole => Kind::Double,
        _ => Kind::NotKnown,
    };
    Finding {
        kind,
        partition: None,
        range: None,
        storage: Some(storage.to_owned()),
        rows: Some(Rows { expected, found: rows }),
        text: "only sums are compared: the table has no columns partition and offset".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(said: Option<i64>, committed: Option<i64>, is_running: bool) -> Subject {
        let account = said.map(|position| {
            let mut ledger = Ledger::<Account>::default();
            let value = format!("{{\"offset\":{position}}}");
            let message = Message {
                partition: 0,
                offset: 0,
                timestamp_ms: None,
                key: b"t:0:g",
                value: Some(value.as_bytes()),
                time: None,
            };
            ledger.take(&message);
            let key = ledger.keys().next().cloned().unwrap();
            ledger.choose(&key, None).account.cloned().unwrap()
        });
        let (partition, has) = (Partition::new("t", 0), Range::new(10, 100));
        Subject { partition, account, others: Vec::new(), has, committed, is_running }
    }

    #[test]
    fn positions_that_do_not_agree_are_found() {
        for (said, committed, is_running, expected) in [
            (Some(50), Some(50), false, &[][..]),
            (None, None, false, &[]),
            (None, Some(50), false, &[Kind::Position]),
            (None, Some(50), true, &[]),
            (None, Some(10), false, &[]),
            (Some(50), None, false, &[Kind::Position]),
            (Some(50), Some(40), true, &[Kind::Position]),
            (Some(50), Some(60), true, &[Kind::InFlight]),
            (Some(50), Some(60), false, &[]),
            (Some(5), Some(5), false, &[Kind::Deleted]),
            (Some(101), Some(101), false, &[Kind::Position]),
        ] {
            let findings = subject(said, committed, is_running).positions();
            let kinds: Vec<_> = findings.iter().map(|finding| finding.kind).collect();
            assert_eq!(kinds, expected, "said {said:?}, committed {committed:?}: {findings:?}");
        }
    }

    #[test]
    fn a_table_without_offsets_is_compared_by_its_sum() {
        let kind = |rows, keeps, is_whole| by_sum("s", 10, rows, keeps, is_whole).kind;
        assert_eq!(kind(9, Keeps::All, false), Kind::Missing);
        assert_eq!(kind(9, Keeps::LastOfKey, true), Kind::NotKnown);
        assert_eq!(kind(10, Keeps::All, true), Kind::NotKnown);
        assert_eq!(kind(11, Keeps::All, true), Kind::Double);
        assert_eq!(kind(11, Keeps::All, false), Kind::NotKnown);
    }
}
