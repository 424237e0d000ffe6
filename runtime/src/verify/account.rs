//! What the records of one topic, partition and group say, put together: the ranges that they close, in the order of their
//! offsets, and what is odd about them.

use tidegate_commit_log::Counts;

use crate::offset::Range;

/// One key of a commit log.
#[derive(Clone, Debug, Default)]
pub struct Account {
    pub last: Option<Said>,
    /// Of all records that close a range.
    pub sums: Counts,
    pub records: u64,
    /// Next to each other, without overlaps, up to the last position.
    segments: Vec<Segment>,
    oddities: Vec<Oddity>,
}

/// What the last record said, and where.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Said {
    pub epoch: u64,
    pub position: i64,
    pub timestamp_ms: Option<i64>,
    pub orig_message_ts: f64,
    pub log_partition: i32,
    /// How many messages compaction has removed before it, in its partition of the log.
    pub removed: i64,
}

/// A part of a partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    pub range: Range,
    pub state: State,
}

/// What the log says of a segment.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// A record says what became of it.
    Closed(Counts),
    /// The position has gone over it, no record closes it, and none is gone from the log.
    Skipped,
    /// Compaction has removed what was said of it, or it was said without its beginning.
    Unknown,
}

/// Something in the order or the sums of the records.
#[derive(Clone, Debug, PartialEq)]
pub enum Oddity {
    /// A higher epoch says that the group went back on purpose.
    Rewound { epoch: u64, to: i64, from: i64 },
    /// The group went back, and followers were not told.
    WentBack { to: i64, from: i64 },
    /// The outcomes do not sum to the messages.
    Unsettled { range: Range, messages: u64, settled: u64 },
    /// The storages do not sum to the rows.
    RowsDiffer { range: Range, rows: u64, of_storages: u64 },
    /// More messages than offsets.
    TooMany { range: Range, messages: u64 },
    /// A range that ends before it starts.
    Backwards { start: i64, end: i64 },
    /// A record of an earlier epoch came late.
    Late { epoch: u64, position: i64 },
}

impl Said {
    /// By what the last of several is told.
    pub(super) fn mark(self) -> (u64, i64) {
        (self.epoch, self.position)
    }
}

impl Account {
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub fn oddities(&self) -> &[Oddity] {
        &self.oddities
    }

    /// Takes the next record.
    ///
    /// | the record | closes |
    /// |---|---|
    /// | is the first | its range; what is before it is not known where messages of the log are gone |
    /// | begins at the position | its range |
    /// | begins after it | its range; what is between is skipped, or not known where messages of the log are gone |
    /// | begins before it, higher epoch | its range, in place of what was said from there on |
    /// | begins before it, same epoch | the same, and that is odd; unless it came late and fills what was left out |
    /// | says what the last one said | nothing, it was published twice |
    /// | counts nothing (a heartbeat, or after an assignment) | nothing; a higher position leaves something out |
    pub(super) fn take(&mut self, said: Said, counts: Option<Counts>) {
        self.records += 1;
        let end = said.position;
        let counts_without_start = counts.as_ref().is_some_and(|counts| counts.start.is_none());
        if let Some(start) = counts.as_ref().and_then(|counts| counts.start).filter(|start| *start > end) {
            return self.oddities.push(Oddity::Backwards { start, end });
        }
        let from = counts.as_ref().and_then(|counts| counts.start).unwrap_or(end);
        let Some(last) = self.last else {
            if said.removed > 0 && from > 0 {
                self.segments.push(Segment { range: Range::new(0, from), state: State::Unknown });
            }
            self.close(end, counts);
            self.last = Some(said);
            return;
        };
        if said.epoch < last.epoch {
            return self.oddities.push(Oddity::Late { epoch: said.epoch, position: end });
        }
        if said.epoch == last.epoch && self.is_known_or_fills(end, counts.as_ref()) {
            return;
        }
        if from < last.position {
            self.go_back(last.position, from, (said.epoch > last.epoch).then_some(said.epoch));
        } else if from > last.position {
            let is_whole = last.log_partition == said.log_partition && last.removed == said.removed;
            let state = if is_whole && !counts_without_start { State::Skipped } else { State::Unknown };
            self.segments.push(Segment { range: Range::new(last.position, from), state });
        }
        self.close(end, counts);
        self.last = Some(said);
    }

    /// What the group has committed beyond the last record, which is the end of the log.
    pub fn reaches(&mut self, committed: i64) {
        if let Some(last) = self.last.filter(|last| last.position < committed) {
            self.segments.push(Segment { range: Range::new(last.position, committed), state: State::Skipped });
        }
    }

    /// Whether the range was closed by the same counts before, or was left out so far; then it is put in its place.
    fn is_known_or_fills(&mut self, end: i64, counts: Option<&Counts>) -> bool {
        let Some((start, counts)) = counts.and_then(|counts| Some((counts.start?, counts))) else { return false };
        let range = Range::new(start, end);
        let holds = |segment: &Segment| segment.range.start <= start && end <= segment.range.end;
        let Some(at) = self.segments.iter().rposition(holds) else { return false };
        let Segment { range: around, state } = self.segments[at].clone();
        match state {
            State::Closed(known) => range == around && known == *counts,
            State::Skipped | State::Unknown => {
                let parts = [
                    Segment { range: Range::new(around.start, start), state: state.clone() },
                    Segment { range, state: State::Closed(counts.clone()) },
                    Segment { range: Range::new(end, around.end), state },
                ];
                let parts = parts.into_iter().filter(|part| part.range.start < part.range.end);
                drop(self.segments.splice(at..=at, parts.collect::<Vec<_>>()));
                self.count(range, counts);
                true
            }
        }
    }

    fn go_back(&mut self, from: i64, to: i64, epoch: Option<u64>) {
        self.oddities.push(match epoch {
            Some(epoch) => Oddity::Rewound { epoch, to, from },
            None => Oddity::WentBack { to, from },
        });
        while let Some(last) = self.segments.pop_if(|segment| segment.range.end > to) {
            if last.range.start < to {
                // The counts are those of more than what is left.
                let state = if last.state == State::Skipped { State::Skipped } else { State::Unknown };
                self.segments.push(Segment { range: Range::new(last.range.start, to), state });
            }
        }
    }

    fn close(&mut self, end: i64, counts: Option<Counts>) {
        let Some(counts) = counts else { return };
        let Some(start) = counts.start else { return self.sums.add(&counts) };
        let range = Range::new(start, end);
        self.count(range, &counts);
        if start < end {
            self.segments.push(Segment { range, state: State::Closed(counts) });
        }
    }

    fn count(&mut self, range: Range, counts: &Counts) {
        self.sums.add(counts);
        let messages = counts.messages;
        if !counts.is_complete() {
            let settled = counts.inserted + counts.skipped + counts.unselected + counts.replacements;
            let settled = settled + counts.rewrites + counts.dead_letters;
            self.oddities.push(Oddity::Unsettled { range, messages, settled });
        }
        let of_storages: u64 = counts.storages.values().sum();
        if !counts.storages.is_empty() && of_storages != counts.rows {
            self.oddities.push(Oddity::RowsDiffer { range, rows: counts.rows, of_storages });
        }
        if messages > (range.end - range.start).unsigned_abs() {
            self.oddities.push(Oddity::TooMany { range, messages });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(epoch: u64, position: i64, removed: i64) -> Said {
        Said { epoch, position, timestamp_ms: None, orig_message_ts: 0.0, log_partition: 0, removed }
    }

    fn counts(start: i64, end: i64) -> Counts {
        let messages = (end - start).unsigned_abs();
        Counts { messages, inserted: messages, rows: messages, start: Some(start), ..Counts::default() }
    }

    /// Records as `epoch start..end removed`, `-` for a start when nothing is counted.
    fn account(records: &[&str]) -> Account {
        let mut account = Account::default();
        for record in records {
            let words: Vec<_> = record.split([' ']).collect();
            let (start, end) = words[1].split_once("..").unwrap();
            let end = end.parse().unwrap();
            let counts = (start != "-").then(|| counts(start.parse().unwrap(), end));
            account.take(said(words[0].parse().unwrap(), end, words[2].parse().unwrap()), counts);
        }
        account
    }

    fn segments(account: &Account) -> String {
        let text = |segment: &Segment| {
            let state = match segment.state {
                State::Closed(_) => "closed",
                State::Skipped => "skipped",
                State::Unknown => "unknown",
            };
            format!("{} {state}", segment.range)
        };
        account.segments().iter().map(text).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn records_are_put_together() {
        for (records, expected, oddities) in [
            (&["0 0..5 0", "0 5..9 0"][..], "[0..5) closed, [5..9) closed", 0),
            (&["0 0..5 0", "0 -..5 0", "0 5..9 0"], "[0..5) closed, [5..9) closed", 0),
            (&["0 0..5 0", "0 7..9 0"], "[0..5) closed, [5..7) skipped, [7..9) closed", 0),
            (&["0 0..5 0", "0 7..9 1"], "[0..5) closed, [5..7) unknown, [7..9) closed", 0),
            (&["0 0..5 0", "0 -..7 0", "0 7..9 0"], "[0..5) closed, [5..7) skipped, [7..9) closed", 0),
            (&["0 0..5 0", "0 -..9 0", "0 6..8 0"], "[0..5) closed, [5..6) skipped, [6..8) closed, [8..9) skipped", 0),
            (&["0 0..5 0", "0 0..5 0"], "[0..5) closed", 0),
            (&["0 0..5 0", "0 5..9 0", "1 5..7 0"], "[0..5) closed, [5..7) closed", 1),
            (&["0 0..5 0", "0 5..9 0", "1 -..3 0", "1 3..4 0"], "[0..3) unknown, [3..4) closed", 1),
            (&["0 0..5 0", "0 5..9 0", "0 4..6 0"], "[0..4) unknown, [4..6) closed", 1),
            (&["1 0..5 0", "0 5..9 0"], "[0..5) closed", 1),
            (&["0 5..3 0"], "", 1),
            (&["0 5..9 0"], "[5..9) closed", 0),
            (&["0 5..9 1"], "[0..5) unknown, [5..9) closed", 0),
            (&["0 -..5 1", "0 5..9 1"], "[0..5) unknown, [5..9) closed", 0),
        ] {
            let account = account(records);
            assert_eq!(segments(&account), expected, "{records:?}");
            assert_eq!(account.oddities().len(), oddities, "{records:?}: {:?}", account.oddities());
        }
    }

    #[test]
    fn going_back_is_odd_unless_the_epoch_says_so() {
        let back = |epoch| account(&["0 0..5 0", &format!("{epoch} -..2 0")]).oddities().to_vec();
        assert_eq!(back(1), [Oddity::Rewound { epoch: 1, to: 2, from: 5 }]);
        assert_eq!(back(0), [Oddity::WentBack { to: 2, from: 5 }]);
    }

    #[test]
    fn what_is_committed_without_a_record_is_skipped() {
        let mut account = account(&["0 0..5 0"]);
        account.reaches(5);
        assert_eq!(segments(&account), "[0..5) closed");
        account.reaches(8);
        assert_eq!(segments(&account), "[0..5) closed, [5..8) skipped");
    }

    #[test]
    fn counts_that_do_not_add_up_are_odd() {
        let odd = |counts: Counts| {
            let mut account = Account::default();
            account.take(said(0, 9, 0), Some(counts));
            account.oddities().to_vec()
        };
        let (range, whole) = (Range::new(5, 9), counts(5, 9));
        assert_eq!(odd(whole.clone()), []);
        let lost = Counts { inserted: 3, ..whole.clone() };
        assert_eq!(odd(lost), [Oddity::Unsettled { range, messages: 4, settled: 3 }]);
        let storages = [("errors".to_owned(), 3)].into();
        assert_eq!(odd(Counts { storages, ..whole.clone() }), [Oddity::RowsDiffer { range, rows: 4, of_storages: 3 }]);
        let many = Counts { messages: 5, inserted: 5, ..whole };
        assert_eq!(odd(many), [Oddity::TooMany { range, messages: 5 }]);
    }

    #[test]
    fn everything_that_is_said_once_is_summed_once() {
        let account = account(&["0 0..5 0", "0 0..5 0", "0 -..9 0", "0 5..9 0"]);
        assert_eq!((account.sums.messages, account.records), (9, 4));
        assert_eq!(segments(&account), "[0..5) closed, [5..9) closed");
    }
}
