//! The row: its columns, and what goes into each, in the same order.

use shared::datetime::{milliseconds, seconds};
use tidegate_processor::{Rejection, Rows};

use crate::message::OutcomeMessage;

/// Every column that is written.
pub const COLUMNS: &[(&str, &str)] = &[
    ("org_id", "UInt64"),
    ("project_id", "UInt64"),
    ("key_id", "Nullable(UInt64)"),
    ("timestamp", "DateTime"),
    ("outcome", "UInt8"),
    ("reason", "LowCardinality(Nullable(String))"),
    ("event_id", "Nullable(UUID)"),
    ("quantity", "UInt32"),
    ("quantity64", "UInt64"),
    ("category", "UInt8"),
];

/// Writes the outcome as one row.
///
/// # Errors
/// If the row does not have these columns.
pub fn write(outcome: &OutcomeMessage<'_>, now_ms: i64, rows: &mut Rows) -> Result<(), Rejection> {
    let quantity = outcome.quantity();
    let mut row = rows.begin(0);
    row.u64(outcome.org_id.0).u64(outcome.project_id.0).nullable(outcome.key_id);
    row.date_time(seconds(milliseconds(outcome.timestamp.as_deref(), now_ms)));
    row.u8(outcome.outcome).nullable(outcome.reason()).nullable(outcome.event_id());
    row.u32(u32::try_from(quantity).unwrap_or(0)).u64(quantity).u8(outcome.category());
    row.end()
}
