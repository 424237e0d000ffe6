//! Whether a table has the rows of a range that a record has closed, and what can be said of one that merges rows.

use tidegate_commit_log::Counts;

use super::finding::Rows;
use crate::clickhouse::{Keeps, Tally};

/// What a table must have of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    pub rows: u64,
    /// Messages that these are of; none where the record does not say.
    pub messages: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Right,
    /// `fewer` and `more`, of which one at least holds.
    Wrong {
        fewer: bool,
        more: bool,
        rows: Rows,
    },
    /// Fewer, which the table's own merging may have done.
    Merged(Rows),
}

impl Expected {
    /// Of one of a pipeline's storages; none where the writer does not say.
    pub fn of(counts: &Counts, storage: &str, is_only: bool) -> Option<Self> {
        let rows = match counts.storages.get(storage) {
            Some(rows) => *rows,
            None if counts.rows == 0 || !counts.storages.is_empty() => 0,
            None if is_only => counts.rows,
            None => return None,
        };
        // Rows before rewrites are of messages that are not counted as inserted.
        let is_told = is_only && counts.rewrites == 0;
        let messages = if rows == 0 { Some(0) } else { is_told.then_some(counts.inserted) };
        Some(Self { rows, messages })
    }

    pub fn is_one_row_a_message(&self) -> bool {
        self.messages == Some(self.rows)
    }

    /// | keeps | fewer | more |
    /// |---|---|---|
    /// | all | rows or messages are missing | rows are left over, also if as many others are missing |
    /// | the last of each key | not told: others may have replaced them | messages that should have none |
    pub fn judge(&self, found: Tally, keeps: Keeps) -> Verdict {
        let lost = self.messages.map_or(0, |messages| messages.saturating_sub(found.offsets));
        let strange = self.messages.map_or(0, |messages| found.offsets.saturating_sub(messages));
        match keeps {
            Keeps::All => {
                let fewer = found.rows < self.rows || lost > 0;
                let more = found.rows > self.rows || strange > 0 || (lost > 0 && found.rows == self.rows);
                let rows = Rows { expected: self.rows, found: found.rows };
                if fewer || more { Verdict::Wrong { fewer, more, rows } } else { Verdict::Right }
            }
            Keeps::LastOfKey => match self.messages {
                Some(messages) => {
                    let rows = Rows { expected: messages, found: found.offsets };
                    match (strange > 0, lost > 0) {
                        (true, _) => Verdict::Wrong { fewer: false, more: true, rows },
                        (false, true) => Verdict::Merged(rows),
                        (false, false) => Verdict::Right,
                    }
                }
                None if found.rows < self.rows => Verdict::Merged(Rows { expected: self.rows, found: found.rows }),
                None => Verdict::Right,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(fewer: bool, more: bool, expected: u64, found: u64) -> Verdict {
        Verdict::Wrong { fewer, more, rows: Rows { expected, found } }
    }

    #[test]
    fn a_table_that_keeps_all_rows_must_have_exactly_these() {
        let expected = Expected { rows: 5, messages: Some(5) };
        for (rows, offsets, verdict) in [
            (5, 5, Verdict::Right),
            (4, 4, wrong(true, false, 5, 4)),
            (6, 5, wrong(false, true, 5, 6)),
            (5, 4, wrong(true, true, 5, 5)),
            (6, 4, wrong(true, true, 5, 6)),
            (6, 6, wrong(false, true, 5, 6)),
            (0, 0, wrong(true, false, 5, 0)),
        ] {
            assert_eq!(expected.judge(Tally { rows, offsets }, Keeps::All), verdict, "{rows} rows of {offsets}");
        }
        let many_each = Expected { rows: 5, messages: None };
        assert_eq!(many_each.judge(Tally { rows: 5, offsets: 2 }, Keeps::All), Verdict::Right);
        assert_eq!(many_each.judge(Tally { rows: 4, offsets: 2 }, Keeps::All), wrong(true, false, 5, 4));
    }

    #[test]
    fn a_table_that_merges_may_have_fewer_and_doubles_of_the_same() {
        let expected = Expected { rows: 5, messages: Some(5) };
        for (rows, offsets, verdict) in [
            (5, 5, Verdict::Right),
            (9, 5, Verdict::Right),
            (4, 4, Verdict::Merged(Rows { expected: 5, found: 4 })),
            (6, 6, wrong(false, true, 5, 6)),
        ] {
            assert_eq!(expected.judge(Tally { rows, offsets }, Keeps::LastOfKey), verdict, "{rows} rows of {offsets}");
        }
        let many_each = Expected { rows: 5, messages: None };
        assert_eq!(many_each.judge(Tally { rows: 7, offsets: 2 }, Keeps::LastOfKey), Verdict::Right);
        let fewer = Verdict::Merged(Rows { expected: 5, found: 3 });
        assert_eq!(many_each.judge(Tally { rows: 3, offsets: 2 }, Keeps::LastOfKey), fewer);
    }

    #[test]
    fn what_is_expected_is_what_the_record_says_of_the_storage() {
        let counts = Counts { inserted: 4, rows: 6, ..Counts::default() };
        let expected = |counts: &Counts, is_only| Expected::of(counts, "errors", is_only);
        assert_eq!(expected(&counts, true), Some(Expected { rows: 6, messages: Some(4) }));
        assert_eq!(expected(&counts, false), None, "the writer does not say");
        let by_storage = Counts { storages: [("errors".to_owned(), 4), ("flags".to_owned(), 2)].into(), ..counts };
        assert_eq!(expected(&by_storage, false), Some(Expected { rows: 4, messages: None }));
        let others = Counts { storages: [("flags".to_owned(), 6)].into(), ..by_storage.clone() };
        assert_eq!(expected(&others, false), Some(Expected { rows: 0, messages: Some(0) }));
        let rewritten = Counts { rewrites: 1, ..by_storage };
        assert_eq!(expected(&rewritten, true), Some(Expected { rows: 4, messages: None }));
    }
}
