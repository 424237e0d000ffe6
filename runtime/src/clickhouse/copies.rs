//! What a table is in terms of copies: who keeps its rows, and how many of them there are. Asked of the system tables of the
//! real cluster; what follows for a consistency profile is decided in `crate::consistency`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::names::{Name, distributed, literal};
use super::{Cluster, Error, text};

/// Who keeps the rows of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copies {
    /// One server, by an engine that does not replicate.
    One { engine: String },
    /// Replicas of the table; those that are active have a session with the keeper.
    Replicas { total: u64, active: u64 },
    /// A storage below all servers (SharedMergeTree).
    Shared,
    /// Other tables, one on each shard of a cluster.
    Shards { cluster: String, table: String, shards: Vec<Copies> },
}

impl Cluster {
    /// Looks at a table, and at those below it if it is Distributed.
    ///
    /// # Errors
    /// See [`Error`]; an answer that is not understood where a shard has no such table.
    pub async fn copies(&self, table: &str) -> Result<Copies, Error> {
        let name = Name::of(table);
        let Some((engine, full)) = self.engine(&name).await? else {
            return Err(self.unclear(format!("table {table:?} is not in system.tables")));
        };
        if engine != "Distributed" {
            let from = "system.replicas";
            let replicas = self.replicas(from, "0", &name).await?;
            return copies(&engine, replicas.get(&0))
                .ok_or_else(|| self.unclear(format!("{table:?} is not in {from}")));
        }
        let Some([cluster, database, local]) = distributed(&full) else {
            return Err(self.unclear(format!("engine of table {table:?}: {full}")));
        };
        let shards = self.shards(&cluster, &Name { database: &database, table: &local }).await?;
        Ok(Copies::Shards { cluster, table: format!("{database}.{local}"), shards })
    }

    /// One replica of each shard is asked.
    async fn shards(&self, cluster: &str, table: &Name<'_>) -> Result<Vec<Copies>, Error> {
        let sql =
            format!("SELECT toUInt32(uniqExact(shard_num)) FROM system.clusters WHERE cluster = {}", literal(cluster));
        let count = self.rows(&sql).await?.first().and_then(|row| number(row, 0)).unwrap_or(0);
        let of = |system: &str| format!("cluster({}, {system})", literal(cluster));
        let from = of("system.tables");
        let sql = format!("SELECT _shard_num, engine FROM {from} WHERE {}", table.condition("name"));
        let engines = self.rows(&sql).await?;
        let engines: BTreeMap<u64, &str> =
            engines.iter().filter_map(|row| Some((number(row, 0)?, text(row, 1)))).collect();
        let replicas = self.replicas(&of("system.replicas"), "_shard_num", table).await?;
        let shard = |shard| {
            let found = engines.get(&shard).and_then(|engine| copies(engine, replicas.get(&shard)));
            let Name { database, table } = table;
            let text = format!("shard {shard} of cluster {cluster:?} does not show table {database}.{table}");
            found.ok_or_else(|| self.unclear(text))
        };
        (1..=count).map(shard).collect()
    }

    /// By shard: how many replicas a table has, and how many of them are active.
    async fn replicas(&self, from: &str, shard: &str, table: &Name<'_>) -> Result<BTreeMap<u64, (u64, u64)>, Error> {
        let condition = table.condition("table");
        let sql = format!("SELECT {shard}, total_replicas, active_replicas FROM {from} WHERE {condition}");
        let rows = self.rows(&sql).await?;
        let replicas = rows.iter().filter_map(|row| Some((number(row, 0)?, (number(row, 1)?, number(row, 2)?))));
        Ok(replicas.collect())
    }
}

/// None for a table that should have replicas and tells of none.
fn copies(engine: &str, replicas: Option<&(u64, u64)>) -> Option<Copies> {
    if engine.starts_with("Shared") {
        return Some(Copies::Shared);
    }
    if engine.starts_with("Replicated") {
        return replicas.map(|(total, active)| Copies::Replicas { total: *total, active: *active });
    }
    Some(Copies::One { engine: engine.to_owned() })
}

fn number(row: &[Value], index: usize) -> Option<u64> {
    row.get(index)?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replicated_table_that_tells_of_no_replicas_is_not_taken_for_one() {
        assert_eq!(copies("ReplicatedMergeTree", None), None);
        let replicas = Copies::Replicas { total: 3, active: 2 };
        assert_eq!(copies("ReplicatedReplacingMergeTree", Some(&(3, 2))), Some(replicas));
        assert_eq!(copies("SharedMergeTree", None), Some(Copies::Shared));
        assert_eq!(copies("MergeTree", None), Some(Copies::One { engine: "MergeTree".into() }));
    }
}
