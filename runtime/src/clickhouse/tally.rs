//! How many rows a table has of which offsets: what is needed to compare it with what was written. Only numbers and a few
//! ranges come back, however many rows there are.

use std::sync::Arc;

use super::names::{Name, distributed, quoted, quoted_one};
use super::{Cluster, Column, Error};
use crate::offset::Range;

/// How many rows a table has of a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub rows: u64,
    /// Different offsets of these.
    pub offsets: u64,
}

/// What becomes of rows in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// All stay.
    All,
    /// The last of each key stays, as with `ReplacingMergeTree`: doubles go, and so do rows that others replace.
    LastOfKey,
}

/// A table whose rows say of which message they are.
pub struct Tallied {
    cluster: Arc<Cluster>,
    table: String,
    pub keeps: Keeps,
    /// As `system.tables` names it.
    pub engine: String,
}

/// What can be asked of a table.
pub enum Comparable {
    ByOffset(Tallied),
    /// It has no columns `partition` and `offset`: only how many rows it has in all.
    BySum {
        rows: u64,
        keeps: Keeps,
    },
    /// Nothing, and why.
    Not(String),
}

/// Offsets next to each other that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Island {
    pub range: Range,
    pub rows: u64,
}

/// The columns by which rows are told apart.
const PARTITION: &str = "partition";
const OFFSET: &str = "offset";
/// More islands than that are not looked for.
pub const ISLANDS_MAX: usize = 1000;

impl Comparable {
    /// # Errors
    /// If the cluster does not answer, or there is no such table.
    pub async fn of(cluster: Arc<Cluster>, table: &str) -> Result<Self, Error> {
        let columns = cluster.describe(table).await?;
        let (engine, full) = cluster.engine(&Name::of(table)).await?.unwrap_or_default();
        let (engine, known) = match distributed(&full) {
            Some([_, database, local]) => match cluster.engine(&Name { database: &database, table: &local }).await? {
                // The rows are on other hosts, of which this one may know nothing.
                None => (engine, Some(Keeps::LastOfKey)),
                Some((local, _)) => (format!("Distributed over {local}"), keeps(&local)),
            },
            None => (engine.clone(), keeps(&engine)),
        };
        let Some(keeps) = known else {
            return Ok(Self::Not(format!("engine {engine} does not keep the rows as they were written")));
        };
        let has = |name: &str| columns.iter().any(|column| column.name == name && is_whole_number(column));
        if has(PARTITION) && has(OFFSET) {
            return Ok(Self::ByOffset(Tallied { cluster, table: table.to_owned(), keeps, engine }));
        }
        let answer = cluster.query(&format!("SELECT count() FROM {}", quoted(table))).await?;
        let rows = answer.trim().parse().map_err(|_| cluster.unclear(answer.clone()))?;
        Ok(Self::BySum { rows, keeps })
    }
}

impl Tallied {
    /// Of each of these ranges, which follow each other without gaps: one question for all.
    ///
    /// # Errors
    /// If the cluster does not answer.
    pub async fn tally(&self, partition: i32, ranges: &[Range]) -> Result<Vec<Tally>, Error> {
        let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else { return Ok(Vec::new()) };
        let starts: Vec<_> = ranges.iter().map(|range| range.start.to_string()).collect();
        let sql = format!(
            "SELECT roundDown(toInt64({offset}), CAST([{}], 'Array(Int64)')) AS start, count(), uniqExact({offset}) \
             FROM {} WHERE {} GROUP BY start",
            starts.join(", "),
            quoted(&self.table),
            within(partition, Range::new(first.start, last.end)),
            offset = quoted_one(OFFSET),
        );
        let mut tallies = vec![Tally::default(); ranges.len()];
        for [start, rows, offsets] in self.numbers(&sql).await? {
            if let Ok(at) = ranges.binary_search_by_key(&start, |range| range.start) {
                tallies[at] = Tally { rows: rows.unsigned_abs(), offsets: offsets.unsigned_abs() };
            }
        }
        Ok(tallies)
    }

    /// The offsets in a range that have more rows than `more_than`, [`ISLANDS_MAX`] islands at most.
    ///
    /// # Errors
    /// If the cluster does not answer.
    pub async fn islands(&self, partition: i32, range: Range, more_than: u64) -> Result<Vec<Island>, Error> {
        // Offsets next to each other are as far from their places in the sorted list.
        let sql = format!(
            "SELECT min(one.1) AS start, max(one.1) + 1, sum(one.2) FROM (\
             SELECT arrayJoin(arrayMap((x, place) -> (x.1, x.2, x.1 - place), sorted, arrayEnumerate(sorted))) AS one \
             FROM (SELECT arraySort(groupArray((at, n))) AS sorted FROM (\
             SELECT toInt64({}) AS at, toInt64(count()) AS n FROM {} WHERE {} GROUP BY at HAVING n > {more_than}))) \
             GROUP BY one.3 ORDER BY start LIMIT {ISLANDS_MAX}",
            quoted_one(OFFSET),
            quoted(&self.table),
            within(partition, range),
        );
        let islands = self.numbers(&sql).await?.into_iter();
        let island = |[start, end, rows]: [i64; 3]| Island { range: Range::new(start, end), rows: rows.unsigned_abs() };
        Ok(islands.map(island).collect())
    }

    async fn numbers(&self, sql: &str) -> Result<Vec<[i64; 3]>, Error> {
        let text = self.cluster.query(&format!("{sql} FORMAT TabSeparated")).await?;
        let line = |line: &str| {
            let numbers: Option<Vec<i64>> = line.split('\t').map(|number| number.parse().ok()).collect();
            numbers.and_then(|numbers| <[i64; 3]>::try_from(numbers).ok())
        };
        let numbers: Option<Vec<_>> = text.lines().map(line).collect();
        numbers.ok_or_else(|| self.cluster.unclear(text))
    }
}

fn within(partition: i32, range: Range) -> String {
    let (number, offset) = (quoted_one(PARTITION), quoted_one(OFFSET));
    format!("{number} = {partition} AND {offset} >= {} AND {offset} < {}", range.start, range.end)
}

/// None for engines that add rows up, cancel them, or keep none.
fn keeps(engine: &str) -> Option<Keeps> {
    let engine = engine.strip_prefix("Replicated").or_else(|| engine.strip_prefix("Shared")).unwrap_or(engine);
    match engine {
        "MergeTree" | "Memory" | "Log" | "TinyLog" | "StripeLog" => Some(Keeps::All),
        "ReplacingMergeTree" => Some(Keeps::LastOfKey),
        _ => None,
    }
}

fn is_whole_number(column: &Column) -> bool {
    ["UInt", "Int"]
        .iter()
        .any(|kind| column.kind.strip_prefix(kind).is_some_and(|bits| bits.bytes().all(|digit| digit.is_ascii_digit())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_keep_all_the_last_or_nothing_that_can_be_compared() {
        for (engine, expected) in [
            ("MergeTree", Some(Keeps::All)),
            ("ReplicatedMergeTree", Some(Keeps::All)),
            ("SharedReplacingMergeTree", Some(Keeps::LastOfKey)),
            ("SummingMergeTree", None),
            ("ReplicatedAggregatingMergeTree", None),
            ("Null", None),
        ] {
            assert_eq!(keeps(engine), expected, "{engine}");
        }
    }
}
