//! What is found when a commit log is compared with what is there: a kind, a place, and numbers.

use std::fmt;

use serde::Serialize;

use super::account::Oddity;
use crate::offset::{Partition, Range};

/// One thing that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub kind: Kind,
    /// None: of all partitions together.
    pub partition: Option<Partition>,
    pub range: Option<Range>,
    pub storage: Option<String>,
    /// Rows, and how many there should be.
    pub rows: Option<Rows>,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rows {
    pub expected: u64,
    pub found: u64,
}

/// What a finding means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Rows that should be there are not.
    Missing,
    /// There are more rows than there should be.
    Double,
    /// The position went over messages that no record closes.
    Skipped,
    /// Messages were deleted before they were read.
    Deleted,
    /// The group, the log and the topic do not agree on a position.
    Position,
    /// The group went back and followers were not told.
    WentBack,
    /// The numbers of a record do not add up.
    Sums,
    /// Nothing wrong: the group went back on purpose.
    Rewound,
    /// Nothing wrong: somebody may still be writing.
    InFlight,
    /// Nothing can be said.
    NotKnown,
}

impl Kind {
    pub fn is_wrong(self) -> bool {
        !matches!(self, Kind::Rewound | Kind::InFlight | Kind::NotKnown)
    }

    fn as_str(self) -> &'static str {
        match self {
            Kind::Missing => "missing",
            Kind::Double => "double",
            Kind::Skipped => "skipped",
            Kind::Deleted => "deleted",
            Kind::Position => "position",
            Kind::WentBack => "went back",
            Kind::Sums => "sums",
            Kind::Rewound => "rewound",
            Kind::InFlight => "in flight",
            Kind::NotKnown => "not known",
        }
    }
}

impl Finding {
    pub fn new(kind: Kind, partition: &Partition, range: Option<Range>, text: impl Into<String>) -> Self {
        Self { kind, partition: Some(partition.clone()), range, storage: None, rows: None, text: text.into() }
    }

    /// About rows of a storage.
    pub fn of_rows(kind: Kind, partition: &Partition, range: Range, storage: &str, rows: Rows, text: &str) -> Self {
        let storage = Some(storage.to_owned());
        Self { storage, rows: Some(rows), ..Self::new(kind, partition, Some(range), text) }
    }

    pub(super) fn of_oddity(partition: &Partition, oddity: &Oddity) -> Self {
        let (kind, range, text) = match oddity {
            Oddity::Rewound { epoch, to, from } => {
                let text = format!(
                    "epoch {epoch} went back from {from}; what is done again is there twice, unless it was removed or the table merges it"
                );
                (Kind::Rewound, Range::new(*to, *from), text)
            }
            Oddity::WentBack { to, from } => {
                let text =
                    format!("the log goes back from {from} to {to} without a higher epoch: followers were not told");
                (Kind::WentBack, Range::new(*to, *from), text)
            }
            Oddity::Unsettled { range, messages, settled } => {
                (Kind::Sums, *range, format!("{settled} of {messages} messages have an outcome"))
            }
            Oddity::RowsDiffer { range, rows, of_storages } => {
                (Kind::Sums, *range, format!("{rows} rows, and {of_storages} by storage"))
            }
            Oddity::TooMany { range, messages } => {
                (Kind::Sums, *range, format!("{messages} messages in {} offsets", range.end - range.start))
            }
            Oddity::Backwards { start, end } => (
                Kind::Sums,
                Range::new(*end, *start),
                format!("a record closes [{start}..{end}), which runs backwards"),
            ),
            Oddity::Late { epoch, position } => {
                let text = format!(
                    "a record of epoch {epoch} for position {position} came after a higher epoch; it changes nothing"
                );
                (Kind::Rewound, Range::new(*position, *position), text)
            }
        };
        Self::new(kind, partition, Some(range), text)
    }

    /// `events/3@1042` for one offset, `events/3 [10..20)` for several, `events/3` without any.
    fn place(&self) -> String {
        let Some(partition) = &self.partition else { return "all partitions".into() };
        match self.range {
            Some(Range { start, end }) if end - start <= 1 => format!("{partition}@{start}"),
            Some(range) => format!("{partition} {range}"),
            None => partition.to_string(),
        }
    }

    /// Joins a finding of the same kind that follows on this one.
    fn joins(&mut self, next: &Finding) -> bool {
        let same = (self.kind, &self.partition, &self.storage, &self.text)
            == (next.kind, &next.partition, &next.storage, &next.text);
        let (Some(range), Some(further)) = (self.range, next.range) else { return false };
        let joins = same && range.end == further.start && self.rows.is_some() == next.rows.is_some();
        if joins {
            self.range = Some(Range::new(range.start, further.end));
            if let (Some(rows), Some(more)) = (&mut self.rows, next.rows) {
                rows.expected += more.expected;
                rows.found += more.found;
            }
        }
        joins
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "kind": self.kind,
            "wrong": self.kind.is_wrong(),
            "topic": self.partition.as_ref().map(|partition| &*partition.topic),
            "partition": self.partition.as_ref().map(|partition| partition.number),
            "start": self.range.map(|range| range.start),
            "end": self.range.map(|range| range.end),
            "storage": self.storage,
            "expected": self.rows.map(|rows| rows.expected),
            "found": self.rows.map(|rows| rows.found),
            "text": self.text,
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<9}  {}", self.kind.as_str(), self.place())?;
        if let Some(storage) = &self.storage {
            write!(f, "  storage {storage}")?;
        }
        if let Some(Rows { expected, found }) = self.rows {
            write!(f, "  expected {expected} row(s), found {found}")?;
        }
        if self.text.is_empty() { Ok(()) } else { write!(f, "  {}", self.text) }
    }
}

const NEAR: usize = 8;

/// Findings next to each other as one.
pub fn joined(findings: Vec<Finding>) -> Vec<Finding> {
    let mut joined: Vec<Finding> = Vec::new();
    for finding in findings {
        // Of each kind and storage the last one is near.
        if !joined.iter_mut().rev().take(NEAR).any(|before| before.joins(&finding)) {
            joined.push(finding);
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(start: i64, end: i64) -> Finding {
        let rows = Rows { expected: (end - start).unsigned_abs(), found: 0 };
        Finding::of_rows(Kind::Missing, &Partition::new("t", 1), Range::new(start, end), "errors", rows, "")
    }

    #[test]
    fn neighbours_are_one_finding() {
        let double = Finding { kind: Kind::Double, ..missing(9, 12) };
        let found = joined(vec![missing(0, 5), double.clone(), missing(5, 9), missing(10, 11)]);
        assert_eq!(found, [missing(0, 9), double, missing(10, 11)]);
    }

    #[test]
    fn a_finding_says_where_and_how_many() {
        let text = [missing(0, 5), missing(7, 8)].map(|finding| finding.to_string());
        assert_eq!(text[0], "missing    t/1 [0..5)  storage errors  expected 5 row(s), found 0");
        assert_eq!(text[1], "missing    t/1@7  storage errors  expected 1 row(s), found 0");
    }
}
