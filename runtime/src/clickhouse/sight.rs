//! What can be seen of the hosts of a cluster and of a table there, for looking after them. Each host is asked for itself;
//! nothing is changed.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::names::{Name, distributed, literal, quoted};
use super::{Cluster, Error};
use crate::clock::now_ms;

/// A setting as the user has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Setting {
    pub value: String,
    /// Somebody has written it down; otherwise it is the server's default.
    pub is_changed: bool,
    /// The user may not set it.
    pub is_locked: bool,
}

pub type Settings = BTreeMap<String, Setting>;

/// A table, and what tells how it is. Each part is told, or why it is not.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub engine: String,
    /// With its arguments and settings.
    pub engine_full: String,
    /// In force: the table's own, or else the server's.
    pub settings: Told<BTreeMap<String, String>>,
    pub parts: Told<Parts>,
    pub mutations: Told<Vec<Mutation>>,
    /// None of a table without replicas.
    pub replica: Told<Option<Replica>>,
    /// Inserts of this user in the last day.
    pub inserts: Told<Inserts>,
    pub may_insert: Told<bool>,
}

/// An answer, or the error in its place.
pub type Told<T> = Result<T, Error>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Active parts of the partition that has most.
    pub in_one_partition: u64,
    /// Partitions that got rows within the last hour.
    pub partitions_written: u64,
}

/// One that is not done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mutation {
    pub id: String,
    pub command: String,
    pub age_seconds: u64,
    /// Empty while it has not failed.
    pub failure: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replica {
    pub is_readonly: bool,
    pub delay_seconds: u64,
    pub total: u64,
    pub active: u64,
    /// Age of the oldest entry of its queue.
    pub oldest_seconds: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inserts {
    pub count: u64,
    /// 99 of 100 took no longer.
    pub p99_ms: u64,
}

/// A disk of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    pub name: String,
    pub path: String,
    pub free_bytes: u64,
    pub total_bytes: u64,
}

/// Of merge-tree tables, those that are looked at.
const TABLE_SETTINGS: &[&str] = &[
    "non_replicated_deduplication_window",
    "replicated_deduplication_window",
    "replicated_deduplication_window_seconds",
    "parts_to_delay_insert",
    "parts_to_throw_insert",
];

impl Cluster {
    /// How far the host's clock is ahead of ours, in milliseconds, and how wrong that may be.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn clock_ahead_ms(&self, host: &str) -> Result<(i64, i64), Error> {
        // The first answer may have needed a connection.
        self.rows_of(host, "SELECT 1").await?;
        let before = now_ms();
        let rows = self.rows_of(host, "SELECT toUnixTimestamp64Milli(now64(3))").await?;
        let after = now_ms();
        let theirs: i64 = number(&rows, 0);
        Ok((theirs - (before + after) / 2, (after - before) / 2 + 1))
    }

    /// The settings of the user with these names, as far as the host knows them.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn settings_of_user(&self, host: &str, names: &[&str]) -> Result<Settings, Error> {
        let columns = "name, value, changed, readonly";
        let sql = format!("SELECT {columns} FROM system.settings WHERE name IN ({})", list(names));
        let setting = |row: Vec<String>| {
            let [name, value, changed, locked] = row.try_into().ok()?;
            Some((name, Setting { value, is_changed: changed == "1", is_locked: locked == "1" }))
        };
        Ok(self.rows_of(host, &sql).await?.into_iter().filter_map(setting).collect())
    }

    /// # Errors
    /// See [`Error`].
    pub async fn disks(&self, host: &str) -> Result<Vec<Disk>, Error> {
        let columns = "name, path, free_space, total_space";
        let rows = self.rows_of(host, &format!("SELECT {columns} FROM system.disks WHERE total_space > 0")).await?;
        let disk = |row: Vec<String>| {
            let [name, path, free, total] = row.try_into().ok()?;
            let bytes = |text: String| text.parse().unwrap_or(0);
            Some(Disk { name, path, free_bytes: bytes(free), total_bytes: bytes(total) })
        };
        Ok(rows.into_iter().filter_map(disk).collect())
    }

    /// None when it is not there.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn table(&self, host: &str, table: &str) -> Result<Option<Table>, Error> {
        let mut name = Name::of(table);
        if name.database.is_empty() {
            name.database = &self.settings().database;
        }
        let here = name.condition("table");
        let sql = format!("SELECT engine, engine_full FROM system.tables WHERE {}", name.condition("name"));
        let Some(row) = self.rows_of(host, &sql).await?.pop() else { return Ok(None) };
        let [engine, engine_full] = pair(row);
        let full = format!("{}.{}", name.database, name.table);
        Ok(Some(Table {
            settings: self.settings_of_table(host, &engine, &engine_full).await,
            parts: self.parts(host, &here).await,
            mutations: self.mutations(host, &here).await,
            replica: self.replica(host, &here).await,
            inserts: self.inserts(host, &full).await,
            may_insert: self.may_insert(host, &full).await,
            engine,
            engine_full,
        }))
    }

    async fn settings_of_table(&self, host: &str, engine: &str, engine_full: &str) -> Told<BTreeMap<String, String>> {
        let replicated = engine.starts_with("Replicated");
        let defaults = if replicated { "system.replicated_merge_tree_settings" } else { "system.merge_tree_settings" };
        let sql = format!("SELECT name, value FROM {defaults} WHERE name IN ({})", list(TABLE_SETTINGS));
        let rows = self.rows_of(host, &sql).await?;
        let mut settings: BTreeMap<_, _> = rows.into_iter().map(|row| pair(row).into()).collect();
        settings.extend(own_settings(engine_full));
        Ok(settings)
    }

    async fn parts(&self, host: &str, here: &str) -> Told<Parts> {
        let sql = format!(
            "SELECT max(parts), countIf(written > now() - 3600) FROM (SELECT count() AS parts, \
             max(modification_time) AS written FROM system.parts WHERE active AND {here} GROUP BY partition_id)"
        );
        let rows = self.rows_of(host, &sql).await?;
        Ok(Parts { in_one_partition: number(&rows, 0), partitions_written: number(&rows, 1) })
    }

    async fn mutations(&self, host: &str, here: &str) -> Told<Vec<Mutation>> {
        let columns = "mutation_id, command, dateDiff('second', create_time, now()), latest_fail_reason";
        let sql = format!("SELECT {columns} FROM system.mutations WHERE NOT is_done AND {here} ORDER BY create_time");
        let mutation = |row: Vec<String>| {
            let [id, command, age, failure] = row.try_into().ok()?;
            Some(Mutation { id, command, age_seconds: age.parse().unwrap_or(0), failure })
        };
        Ok(self.rows_of(host, &sql).await?.into_iter().filter_map(mutation).collect())
    }

    async fn replica(&self, host: &str, here: &str) -> Told<Option<Replica>> {
        let sql = format!(
            "SELECT is_readonly, absolute_delay, total_replicas, active_replicas, if(queue_size = 0, 0, \
             dateDiff('second', queue_oldest_time, now())) FROM system.replicas WHERE {here}"
        );
        let rows = self.rows_of(host, &sql).await?;
        Ok((!rows.is_empty()).then(|| Replica {
            is_readonly: number::<u64>(&rows, 0) == 1,
            delay_seconds: number(&rows, 1),
            total: number(&rows, 2),
            active: number(&rows, 3),
            oldest_seconds: number(&rows, 4),
        }))
    }

    async fn inserts(&self, host: &str, full: &str) -> Told<Inserts> {
        let sql = format!(
            "SELECT count(), toUInt64(ifNotFinite(quantile(0.99)(query_duration_ms), 0)) FROM system.query_log WHERE \
             event_date >= today() - 1 AND event_time > now() - 86400 AND type != 'QueryStart' AND user = currentUser() \
             AND query_kind = 'Insert' AND has(tables, {})",
            literal(full)
        );
        let rows = self.rows_of(host, &sql).await?;
        Ok(Inserts { count: number(&rows, 0), p99_ms: number(&rows, 1) })
    }

    async fn may_insert(&self, host: &str, full: &str) -> Told<bool> {
        // The statement takes no FORMAT.
        let answer = self.run_at(host, &format!("CHECK GRANT INSERT ON {}", quoted(full))).await?;
        Ok(answer.trim() == "1")
    }

    /// Runs a statement on one host.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn run_at(&self, host: &str, sql: &str) -> Result<String, Error> {
        let body = Bytes::from(sql.to_owned());
        Ok(self.client.post(host, &self.settings, &[], body, self.settings.timeout.min(LOOK_TIMEOUT)).await?.text)
    }

    /// The rows of a query, whose columns are all numbers or texts.
    async fn rows_of(&self, host: &str, sql: &str) -> Result<Vec<Vec<String>>, Error> {
        let answer = self.run_at(host, &format!("{sql} FORMAT JSONCompactStringsEachRow")).await?;
        let rows: Result<_, _> = answer.lines().map(serde_json::from_str).collect();
        rows.map_err(|_| Error::Answer { host: host.to_owned(), text: answer })
    }
}

impl Table {
    /// Of a Distributed table, the table on its shards: `Distributed('cluster', 'database', 'table', …)`. None of others.
    pub fn behind(&self) -> Option<String> {
        let [_, database, table] = distributed(&self.engine_full)?;
        Some(format!("{database}.{table}"))
    }
}

/// What is only looked at is not waited for as long as an insert.
const LOOK_TIMEOUT: Duration = Duration::from_secs(15);

/// A column of the first row; zero where there is none.
fn number<T: std::str::FromStr + Default>(rows: &[Vec<String>], column: usize) -> T {
    rows.first().and_then(|row| row.get(column)?.parse().ok()).unwrap_or_default()
}

/// Of a query with two columns.
fn pair(row: Vec<String>) -> [String; 2] {
    row.try_into().unwrap_or_default()
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| literal(name)).collect::<Vec<_>>().join(", ")
}

/// `… SETTINGS index_granularity = 8192, parts_to_throw_insert = 300`
fn own_settings(engine_full: &str) -> BTreeMap<String, String> {
    let Some((_, settings)) = engine_full.rsplit_once(" SETTINGS ") else { return BTreeMap::new() };
    let pairs = settings.split(", ").filter_map(|pair| pair.split_once(" = "));
    pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_settings_of_its_own() {
        let full = "MergeTree ORDER BY id SETTINGS storage_policy = 'hot', index_granularity = 8192";
        let expected = [("index_granularity", "8192"), ("storage_policy", "hot")];
        assert_eq!(own_settings(full), expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        assert_eq!(own_settings("MergeTree ORDER BY id"), BTreeMap::new());
    }

    #[test]
    fn names_cannot_end_their_text() {
        assert_eq!(list(&["a", "b'; DROP"]), "'a', 'b\\'; DROP'");
    }
}
