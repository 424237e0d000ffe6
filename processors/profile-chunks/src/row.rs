//! The row: its columns, and what goes into each, in the same order.

use shared::{epoch, retention};
use tidegate_processor::{Message, Rejection, Rows};

use crate::chunk::Chunk;

/// Every column.
pub const COLUMNS: &[(&str, &str)] = &[
    ("project_id", "UInt64"),
    ("profiler_id", "UUID"),
    ("chunk_id", "UUID"),
    ("start_timestamp", "DateTime64(6)"),
    ("end_timestamp", "DateTime64(6)"),
    ("environment", "LowCardinality(Nullable(String))"),
    ("retention_days", "UInt16"),
    ("partition", "UInt16"),
    ("offset", "UInt64"),
];

/// Writes the chunk as one row.
///
/// # Errors
/// If the row is not the manifest's.
pub fn write(chunk: &Chunk<'_>, message: &Message<'_>, rows: &mut Rows) -> Result<(), Rejection> {
    let mut row = rows.begin(0);
    row.u64(chunk.project_id).uuid(chunk.profiler_id).uuid(chunk.chunk_id);
    row.date_time64(epoch::microseconds(chunk.start_timestamp));
    row.date_time64(epoch::microseconds(chunk.end_timestamp));
    row.nullable(chunk.environment.0.as_deref()).u16(retention::days(chunk.retention_days));
    row.u16(message.partition() as u16).u64(message.offset() as u64);
    row.end()
}
