//! How many rows a table has of which offsets: what is needed to compare it with what was written. Only numbers and a few
//! ranges come back, however many rows there are.

use std::sync::Arc;

use super::{Cluster, Column, Error, quoted, quoted_one};
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
        let (engine, full) = engine(&cluster, &database_and_name(&cluster, table)).await?;
        let local = local_of(&full);
        let (engine, known) = match (engine.as_str(), local) {
            ("Distributed", Some(local)) => match self::engine(&cluster, &local).await? {
                // The rows are on other hosts, of which this one may know nothing.
                (unknown, _) if unknown.is_empty() => (engine, Some(Keeps::LastOfKey)),
                (local, _) => (format!("Distributed over {local}"), keeps(&local)),
            },
            _ => (engine.clone(), keeps(&engine)),
        };
        let Some(keeps) = known else {
            return Ok(Self::Not(format!("engine {engine} does not keep the rows as they were written")));
        };
        let has = |name: &str| columns.iter().any(|column| column.name == name && is_whole_number(column));
        if has(PARTITION) && has(OFFSET) {
            return Ok(Self::ByOffset(Tallied { cluster, table: table.to_owned(), keeps, engine }));
        }
        let answer = cluster.query(&format!("SELECT count() FROM {}", quoted(table))).await?;
        let rows = answer.trim().parse().map_err(|_| not_understood(&cluster, &answer))?;
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
        numbers.ok_or_else(|| not_understood(&self.cluster, &text))
    }
}

fn within(partition: i32, range: Range) -> String {
    let (number, offset) = (quoted_one(PARTITION), quoted_one(OFFSET));
    format!("{number} = {partition} AND {offset} >= {} AND {offset} < {}", range.start, range.end)
}

/// Name and definition; empty where there is no such table.
async fn engine(cluster: &Cluster, [database, name]: &[String; 2]) -> Result<(String, String), Error> {
    let sql = format!(
        "SELECT engine, engine_full FROM system.tables WHERE database = {} AND name = {} FORMAT TabSeparatedRaw",
        literal(database),
        literal(name)
    );
    let text = cluster.query(&sql).await?;
    let (engine, full) = text.trim_end().split_once('\t').unwrap_or_default();
    Ok((engine.to_owned(), full.to_owned()))
}

fn database_and_name(cluster: &Cluster, table: &str) -> [String; 2] {
    let (database, name) = table.split_once('.').unwrap_or((&cluster.settings().database, table));
    [database.to_owned(), name.to_owned()]
}

/// Of `Distributed('cluster', 'database', 'table', …)`.
fn local_of(engine_full: &str) -> Option<[String; 2]> {
    let arguments = engine_full.strip_prefix("Distributed(")?.split([',', ')']);
    let mut names = arguments.skip(1).map(|name| name.trim().trim_matches('\'').to_owned());
    Some([names.next()?, names.next()?])
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

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn not_understood(cluster: &Cluster, text: &str) -> Error {
    Error::Answer { host: cluster.settings().hosts.join(", "), text: text.to_owned() }
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

    #[test]
    fn a_distributed_table_names_its_local_one() {
        let full = "Distributed('c', 'd', 'errors_local', cityHash64(event_id))";
        assert_eq!(local_of(full), Some(["d".to_owned(), "errors_local".to_owned()]));
        assert_eq!(local_of("MergeTree ORDER BY (a, b)"), None);
        assert_eq!(literal("a'b\\"), "'a\\'b\\\\'");
    }
}
