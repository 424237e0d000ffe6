//! A table as a sink: one block, one request, the same bytes and token each time.

use std::sync::Arc;

use super::{Class, Cluster, Error, quoted, quoted_one};
use crate::sink::{Block, Insert, InsertError};

/// Writes rows with given columns into one table.
pub struct Storage {
    name: String,
    cluster: Arc<Cluster>,
    table: String,
    statement: String,
}

/// ClickHouse cuts an insert into blocks of this many rows unless told otherwise; each block is committed alone.
const BLOCK_ROWS: u64 = 1_048_449;

impl Storage {
    /// `columns` are those of the rows, in their order.
    pub fn new(name: &str, cluster: Arc<Cluster>, table: &str, columns: &[String]) -> Self {
        let columns: Vec<_> = columns.iter().map(|column| quoted_one(column)).collect();
        let statement = format!("INSERT INTO {} ({}) FORMAT RowBinary", quoted(table), columns.join(", "));
        Self { name: name.to_owned(), cluster, table: table.to_owned(), statement }
    }

    fn parameters(&self, block: &Block, attempt: u32) -> Vec<(&'static str, String)> {
        let one_block = block.rows.max(BLOCK_ROWS).to_string();
        vec![
            ("query", self.statement.clone()),
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

    fn failure(&self, block: &Block, error: &Error) -> InsertError {
        let mebibytes = block.raw_bytes as f64 / f64::from(1 << 20);
        let message =
            format!("failed to write {} rows ({mebibytes:.1} MiB) to table {:?} at {error}", block.rows, self.table);
        let class = error.class();
        let message = match class {
            Class::Data => {
                format!("{message} (the table refuses the rows; mend the table, its constraints or its views)")
            }
            Class::Operator => format!("{message} (somebody has to mend this; it is tried again)"),
            _ => message,
        };
        InsertError { message, remedy: class.remedy(), code: error.code() }
    }
}

impl Insert for Storage {
    fn storage(&self) -> &str {
        &self.name
    }

    async fn insert(&self, block: &Block, attempt: u32) -> Result<(), InsertError> {
        match self.cluster.post(&self.parameters(block, attempt), block.body.clone()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failure(block, &error)),
        }
    }
}
