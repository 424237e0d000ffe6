//! One partition and one table: the rows of every range that records close, and where they are wrong.

use tidegate_commit_log::Counts;

use super::account::{Segment, State};
use super::finding::{Finding, Kind, Rows};
use super::judge::{Expected, Verdict};
use crate::clickhouse::{self, ISLANDS_MAX, Island, Keeps, Tallied, Tally};
use crate::offset::{Partition, Range};

/// One question to a table is about so many ranges, and so many offsets.
const RANGES_MAX: usize = 500;
const OFFSETS_MAX: i64 = 1_000_000;
/// So many ranges of a partition and storage are looked into for the exact places.
const LOOKED_INTO_MAX: usize = 100;

/// One partition and one table.
pub(super) struct Comparison<'a> {
    partition: &'a Partition,
    storage: &'a str,
    /// Whether the pipeline has no other storage.
    is_only: bool,
    table: &'a Tallied,
    pub(super) rows: Rows,
    pub(super) findings: Vec<Finding>,
    /// Ranges that no record closes, and how many offsets have rows there.
    pub(super) skipped: Vec<(Range, u64)>,
    looked_into: usize,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(partition: &'a Partition, storage: &'a str, is_only: bool, table: &'a Tallied) -> Self {
        let rows = Rows { expected: 0, found: 0 };
        let (findings, skipped) = (Vec::new(), Vec::new());
        Self { partition, storage, is_only, table, rows, findings, skipped, looked_into: 0 }
    }

    /// Compares segments, in the order of their offsets.
    ///
    /// # Errors
    /// If the cluster does not answer.
    pub(super) async fn run(&mut self, segments: impl Iterator<Item = Segment>) -> Result<(), clickhouse::Error> {
        let mut asked: Vec<Segment> = Vec::new();
        for segment in segments {
            let follows = asked.last().is_none_or(|last| last.range.end == segment.range.start);
            let offsets = asked.first().map_or(0, |first| segment.range.end - first.range.start);
            if !follows || offsets > OFFSETS_MAX || asked.len() == RANGES_MAX {
                self.ask(std::mem::take(&mut asked)).await?;
            }
            asked.push(segment);
        }
        self.ask(asked).await
    }

    async fn ask(&mut self, segments: Vec<Segment>) -> Result<(), clickhouse::Error> {
        let ranges: Vec<_> = segments.iter().map(|segment| segment.range).collect();
        let tallies = self.table.tally(self.partition.number, &ranges).await?;
        for (Segment { range, state }, tally) in segments.into_iter().zip(tallies) {
            match state {
                State::Closed(counts) => self.judge(range, &counts, tally).await?,
                State::Skipped | State::Unknown => self.skipped.push((range, tally.offsets)),
            }
        }
        Ok(())
    }

    async fn judge(&mut self, range: Range, counts: &Counts, tally: Tally) -> Result<(), clickhouse::Error> {
        let Some(expected) = Expected::of(counts, self.storage, self.is_only) else {
            let text = "its record does not say how many rows each storage got";
            self.findings.push(Finding::new(Kind::NotKnown, self.partition, Some(range), text));
            return Ok(());
        };
        self.rows.expected += expected.rows;
        self.rows.found += tally.rows;
        match expected.judge(tally, self.table.keeps) {
            Verdict::Right => {}
            Verdict::Merged(rows) => {
                let text = format!(
                    "{} keeps the last row of each key: whether others replaced them is not known",
                    self.table.engine
                );
                self.add(Kind::NotKnown, range, rows, &text);
            }
            Verdict::Wrong { fewer, more, rows } => {
                self.looked_into += 1;
                if more {
                    self.doubles(range, &expected, rows).await?;
                }
                if fewer {
                    self.missing(range, &expected, tally, rows).await?;
                }
            }
        }
        Ok(())
    }

    /// Where a message has one row, offsets with more are the places.
    async fn doubles(&mut self, range: Range, expected: &Expected, rows: Rows) -> Result<(), clickhouse::Error> {
        let mut islands = Vec::new();
        if self.table.keeps == Keeps::All && expected.is_one_row_a_message() && self.may_look() {
            islands = self.table.islands(self.partition.number, range, 1).await?;
        }
        if islands.is_empty() {
            self.add(Kind::Double, range, rows, "");
        }
        let text = limited(&islands);
        for Island { range, rows } in islands {
            let expected = (range.end - range.start).unsigned_abs();
            self.add(Kind::Double, range, Rows { expected, found: rows }, text);
        }
        Ok(())
    }

    /// Offsets without rows are the places, if there are no more of them than messages are missing: others may have been
    /// skipped, or become something else.
    async fn missing(
        &mut self,
        range: Range,
        expected: &Expected,
        tally: Tally,
        rows: Rows,
    ) -> Result<(), clickhouse::Error> {
        let lost = expected.messages.map_or(0, |messages| messages.saturating_sub(tally.offsets));
        if lost == 0 || tally.rows == 0 || !self.may_look() {
            self.add(Kind::Missing, range, rows, "");
            return Ok(());
        }
        let islands = self.table.islands(self.partition.number, range, 0).await?;
        let absent = between(range, &islands);
        let without = (range.end - range.start).unsigned_abs() - tally.offsets;
        if without == lost && expected.is_one_row_a_message() {
            for hole in &absent {
                let expected = (hole.end - hole.start).unsigned_abs();
                self.add(Kind::Missing, *hole, Rows { expected, found: 0 }, limited(&islands));
            }
        } else {
            let holes: Vec<_> = absent.iter().take(HOLES_SHOWN).map(ToString::to_string).collect();
            let more = if absent.len() > HOLES_SHOWN { ", …" } else { "" };
            let text = format!("among {without} offset(s) without rows: {}{more}", holes.join(", "));
            self.add(Kind::Missing, range, rows, &text);
        }
        Ok(())
    }

    fn may_look(&self) -> bool {
        self.looked_into <= LOOKED_INTO_MAX
    }

    fn add(&mut self, kind: Kind, range: Range, rows: Rows, text: &str) {
        self.findings.push(Finding::of_rows(kind, self.partition, range, self.storage, rows, text));
    }
}

const HOLES_SHOWN: usize = 20;

fn limited(islands: &[Island]) -> &'static str {
    if islands.len() == ISLANDS_MAX { "(there may be more in this range)" } else { "" }
}

/// What of the range is between the islands.
fn between(range: Range, islands: &[Island]) -> Vec<Range> {
    let starts = std::iter::once(range.start).chain(islands.iter().map(|island| island.range.end));
    // After the last of as many as are asked for, nothing is known.
    let end = if islands.len() == ISLANDS_MAX { None } else { Some(range.end) };
    let ends = islands.iter().map(|island| island.range.start).chain(end);
    starts.zip(ends).filter(|(start, end)| start < end).map(|(start, end)| Range::new(start, end)).collect()
}

/// A record closes what fits into one batch; what was skipped may be of any length.
pub(super) fn pieces(segment: &Segment) -> Vec<Segment> {
    let length_max = if segment.state == State::Skipped { OFFSETS_MAX } else { i64::MAX };
    let (mut start, mut pieces) = (segment.range.start, Vec::new());
    while start < segment.range.end {
        let end = segment.range.end.min(start.saturating_add(length_max));
        pieces.push(Segment { range: Range::new(start, end), state: segment.state.clone() });
        start = end;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_what_is_between_islands() {
        let island = |start, end| Island { range: Range::new(start, end), rows: 1 };
        let holes = |islands: &[Island]| between(Range::new(0, 10), islands);
        assert_eq!(holes(&[]), [Range::new(0, 10)]);
        assert_eq!(holes(&[island(0, 4), island(6, 10)]), [Range::new(4, 6)]);
        assert_eq!(holes(&[island(2, 4)]), [Range::new(0, 2), Range::new(4, 10)]);
    }

    #[test]
    fn what_was_skipped_is_asked_about_in_pieces() {
        let ranges = |length: i64, state| {
            let segment = Segment { range: Range::new(5, 5 + length), state };
            pieces(&segment).iter().map(|piece| (piece.range.start, piece.range.end)).collect::<Vec<_>>()
        };
        assert_eq!(ranges(3, State::Skipped), [(5, 8)]);
        assert_eq!(ranges(1_500_000, State::Skipped), [(5, 1_000_005), (1_000_005, 1_500_005)]);
        assert_eq!(ranges(1_500_000, State::Closed(Counts::default())), [(5, 1_500_005)]);
    }
}
