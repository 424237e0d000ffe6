//! The row: its columns, and what goes into each, in the same order.

use shared::epoch;
use tidegate_processor::{Rejection, Row, Rows};

use crate::call_tree::{CallTree, Function};

/// Every column, the deprecated ones too.
pub const COLUMNS: &[(&str, &str)] = &[
    ("project_id", "UInt64"),
    ("transaction_name", "String"),
    ("timestamp", "DateTime"),
    ("start_timestamp", "Nullable(DateTime64(6))"),
    ("end_timestamp", "Nullable(DateTime64(6))"),
    ("fingerprint", "UInt64"),
    ("name", "String"),
    ("package", "String"),
    ("is_application", "UInt8"),
    ("platform", "LowCardinality(String)"),
    ("environment", "LowCardinality(Nullable(String))"),
    ("release", "LowCardinality(Nullable(String))"),
    ("retention_days", "UInt16"),
    ("durations", "Array(Float64)"),
    ("profile_id", "UUID"),
    ("materialization_version", "UInt8"),
    ("thread_id", "String"),
    ("profiling_type", "LowCardinality(String)"),
    ("depth", "UInt32"),
    ("parent_fingerprint", "UInt64"),
    ("path", "String"),
    ("os_name", "LowCardinality(String)"),
    ("os_version", "LowCardinality(String)"),
    ("browser_name", "LowCardinality(Nullable(String))"),
    ("device_classification", "UInt8"),
    ("dist", "LowCardinality(Nullable(String))"),
    ("transaction_op", "LowCardinality(String)"),
    ("transaction_status", "UInt8"),
];

/// Writes a function of the profile as one row.
///
/// # Errors
/// If the row is not the manifest's.
pub fn write(tree: &CallTree<'_>, function: &Function<'_>, rows: &mut Rows) -> Result<(), Rejection> {
    let mut row = rows.begin(0);
    row.u64(tree.project_id).string(&tree.transaction_name).date_time(epoch::date_time(tree.timestamp));
    row.nullable(tree.start_timestamp.map(epoch::microseconds));
    row.nullable(tree.end_timestamp.map(epoch::microseconds));
    row.u64(function.fingerprint).string(&function.name).string(&function.package).u8(function.in_app.into());
    row.string(&tree.platform).nullable(tree.environment.0.as_deref()).nullable(tree.release.0.as_deref());
    row.u16(tree.retention_days).array(&function.self_times_ns).uuid(tree.profile_id);
    row.u8(tree.materialization_version.0.and_then(|version| version.try_into().ok()).unwrap_or_default());
    row.string(function.thread_id.or_empty()).string(tree.profiling_type.or_empty());
    deprecated(&mut row);
    row.end()
}

/// From the depth of a function to the status of its transaction: messages no longer tell.
fn deprecated(row: &mut Row<'_>) {
    row.u32(0).u64(0).string("").string("").string("");
    row.nullable(Some("")).u8(0).nullable(Some("")).string("").u8(0);
}
