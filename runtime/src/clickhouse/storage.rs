//! A table as a sink: one block or one rewrite, one request, the same each time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_client::Consistency;
use tokio::sync::{Mutex, MutexGuard};

use super::{Class, Cluster, Error, quoted, quoted_one, rewrite};
use crate::outcome::Rewrite;
use crate::sink::{Block, Cost, Insert, InsertError};

/// Writes rows into one table.
pub struct Storage {
    name: String,
    cluster: Arc<Cluster>,
    table: String,
    rewrite_timeout: Duration,
    consistency: Consistency,
    /// For profiles under which a table refuses a second insert while one waits for its quorum.
    turn: Mutex<()>,
}

/// The server gives up first, and says so.
const PATIENCE: Duration = Duration::from_secs(30);
/// ClickHouse cuts an insert into blocks of this many rows unless told otherwise; each block is committed alone.
const BLOCK_ROWS: u64 = 1_048_449;

impl Storage {
    /// `rewrite_timeout` is for one rewrite.
    pub fn new(name: &str, cluster: Arc<Cluster>, table: &str, rewrite_timeout: Duration) -> Self {
        let (name, table) = (name.to_owned(), table.to_owned());
        Self { name, cluster, table, rewrite_timeout, consistency: Consistency::default(), turn: Mutex::new(()) }
    }

    /// What its inserts and rewrites promise to readers.
    #[must_use]
    pub fn with_consistency(self, consistency: Consistency) -> Self {
        Self { consistency, ..self }
    }

    fn statement(&self, columns: &[String]) -> String {
        let columns: Vec<_> = columns.iter().map(|column| quoted_one(column)).collect();
        format!("INSERT INTO {} ({}) FORMAT RowBinary", quoted(&self.table), columns.join(", "))
    }

    fn parameters(&self, block: &Block, attempt: u32) -> Vec<(&'static str, String)> {
        let one_block = block.rows.max(BLOCK_ROWS).to_string();
        let mut parameters = vec![
            ("query", self.statement(&block.columns)),
            ("decompress", "1".into()),
            ("query_id", format!("{}-{attempt}-{:x}", block.token, std::process::id())),
            ("async_insert", "0".into()),
            ("insert_deduplicate", "1".into()),
            ("insert_deduplication_token", block.token.clone()),
            ("max_insert_block_size", one_block.clone()),
            ("min_insert_block_size_rows", one_block),
            ("min_insert_block_size_bytes", (1u64 << 40).to_string()),
            ("input_format_skip_unknown_fields", "0".into()),
        ];
        parameters.extend(self.promises());
        parameters
    }

    /// Whatever the profile, an insert is done when the rows are in their tables, since a position is committed then, and
    /// goes to the replicas in order, where a rewrite looks for its rows. Profiles only add to that.
    fn promises(&self) -> Vec<(&'static str, String)> {
        let timeout = self.cluster.settings().timeout;
        let mut settings = Consistency::InOrder.insert_settings(timeout);
        for setting in self.consistency.insert_settings(timeout) {
            if !settings.contains(&setting) {
                settings.push(setting);
            }
        }
        settings
    }

    async fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        if self.consistency == Consistency::Sequential { Some(self.turn.lock().await) } else { None }
    }

    /// Settings that go with every insert; those that one insert has for itself are left out.
    pub fn settings_sent(&self) -> Vec<(&'static str, String)> {
        let nothing =
            Block { body: Bytes::new(), rows: 0, raw_bytes: 0, token: String::new(), columns: Vec::new().into() };
        let mut sent = self.parameters(&nothing, 0);
        sent.retain(|(name, _)| !["query", "decompress", "query_id", "insert_deduplication_token"].contains(name));
        sent
    }

    fn failure(&self, what: &str, error: &Error) -> InsertError {
        let class = error.class();
        let hint = match class {
            Class::Data => " (the table refuses the rows; mend the table, its constraints or its views)",
            Class::Quorum => " (replicas have to confirm it, and others before it; it is tried again)",
            Class::Operator => " (somebody has to mend this; it is tried again)",
            _ => "",
        };
        let message = format!("failed to {what} table {:?} at {error}{hint}", self.table);
        InsertError { message, remedy: class.remedy(), code: error.code() }
    }
}

impl Insert for Storage {
    fn storage(&self) -> &str {
        &self.name
    }

    async fn insert(&self, block: &Block, attempt: u32) -> Result<(), InsertError> {
        let timeout = self.cluster.settings().timeout;
        let _turn = self.turn().await;
        match self.cluster.post(&self.parameters(block, attempt), block.body.clone(), timeout).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let mebibytes = block.raw_bytes as f64 / f64::from(1 << 20);
                Err(self.failure(&format!("write {} rows ({mebibytes:.1} MiB) to", block.rows), &error))
            }
        }
    }

    async fn rewrite(&self, rewrite: &Rewrite, number: usize) -> Result<Cost, InsertError> {
        let statement = rewrite::statement(&self.table, rewrite);
        let id = rewrite::query_id(&self.cluster.settings().database, &self.table, rewrite, number);
        let mut parameters = rewrite::parameters(id, &statement, self.rewrite_timeout);
        parameters.extend(self.promises());
        if self.consistency == Consistency::Sequential {
            // It reads, too: a replica that lacks rows must not be the one that rewrites them.
            let select = self.consistency.select_settings().iter();
            parameters.extend(select.map(|(name, value)| (*name, (*value).to_owned())));
        }
        let _turn = self.turn().await;
        match self.cluster.post(&parameters, Bytes::from(statement), self.rewrite_timeout + PATIENCE).await {
            Ok(answer) => {
                let number = |text: &str| text.parse().unwrap_or(0);
                let summary = answer.summary;
                Ok(Cost {
                    rows_read: number(&summary.read_rows),
                    bytes_read: number(&summary.read_bytes),
                    rows_written: number(&summary.written_rows),
                })
            }
            Err(error) => {
                let Rewrite { partition, offset, .. } = rewrite;
                Err(self.failure(&format!("carry out the rewrite of {partition}@{offset} in"), &error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clickhouse::{Settings, Tls};
    use crate::secret::Secret;

    fn storage(consistency: Consistency) -> Storage {
        let cluster = Cluster::new(Settings {
            hosts: vec!["http://127.0.0.1:9".into()],
            tls: Tls::default(),
            database: "default".into(),
            user: "default".into(),
            password: Secret::default(),
            timeout: Duration::from_secs(20),
        });
        Storage::new("t", Arc::new(cluster), "t", Duration::from_secs(60)).with_consistency(consistency)
    }

    #[test]
    fn every_insert_is_in_the_foreground_and_in_order_and_says_each_setting_once() {
        for consistency in Consistency::ALL {
            let promises = storage(consistency).promises();
            let of = |name: &str| promises.iter().filter(|(given, _)| *given == name).collect::<Vec<_>>();
            for (name, value) in Consistency::InOrder.insert_settings(Duration::ZERO) {
                assert_eq!(of(name), [&(name, value)], "{consistency}");
            }
            for (name, _) in consistency.insert_settings(Duration::ZERO) {
                assert_eq!(of(name).len(), 1, "{consistency} sends {name} more than once, or not at all");
            }
        }
    }

    #[test]
    fn the_server_has_less_time_for_a_quorum_than_the_request() {
        let promises = storage(Consistency::Quorum).promises();
        assert!(promises.contains(&("insert_quorum_timeout", "15000".into())), "{promises:?}");
    }
}
