//! A table as a sink: one block or one rewrite, one request, the same each time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Class, Cluster, Error, quoted, quoted_one, rewrite};
use crate::outcome::Rewrite;
use crate::sink::{Block, Cost, Insert, InsertError};

/// Writes rows into one table.
pub struct Storage {
    name: String,
    cluster: Arc<Cluster>,
    table: String,
    rewrite_timeout: Duration,
}

/// The server gives up first, and says so.
const PATIENCE: Duration = Duration::from_secs(30);
/// ClickHouse cuts an insert into blocks of this many rows unless told otherwise; each block is committed alone.
const BLOCK_ROWS: u64 = 1_048_449;

impl Storage {
    /// `rewrite_timeout` is for one rewrite.
    pub fn new(name: &str, cluster: Arc<Cluster>, table: &str, rewrite_timeout: Duration) -> Self {
        Self { name: name.to_owned(), cluster, table: table.to_owned(), rewrite_timeout }
    }

    fn statement(&self, columns: &[String]) -> String {
        let columns: Vec<_> = columns.iter().map(|column| quoted_one(column)).collect();
        format!("INSERT INTO {} ({}) FORMAT RowBinary", quoted(&self.table), columns.join(", "))
    }

    fn parameters(&self, block: &Block, attempt: u32) -> Vec<(&'static str, String)> {
        let one_block = block.rows.max(BLOCK_ROWS).to_string();
        vec![
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
            ("distributed_foreground_insert", "1".into()),
            ("load_balancing", "in_order".into()),
            ("prefer_localhost_replica", "0".into()),
        ]
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
        let parameters = rewrite::parameters(id, &statement, self.rewrite_timeout);
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
