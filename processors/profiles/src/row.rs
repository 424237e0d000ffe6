//! The row: its columns, and what goes into each, in the same order.

use shared::{epoch, retention};
use tidegate_processor::{Message, Rejection, Row, Rows};

use crate::profile::Profile;

/// Every column.
pub const COLUMNS: &[(&str, &str)] = &[
    ("organization_id", "UInt64"),
    ("project_id", "UInt64"),
    ("transaction_id", "UUID"),
    ("profile_id", "UUID"),
    ("received", "DateTime"),
    ("android_api_level", "Nullable(UInt32)"),
    ("device_classification", "LowCardinality(String)"),
    ("device_locale", "LowCardinality(String)"),
    ("device_manufacturer", "LowCardinality(String)"),
    ("device_model", "LowCardinality(String)"),
    ("device_os_build_number", "LowCardinality(Nullable(String))"),
    ("device_os_name", "LowCardinality(String)"),
    ("device_os_version", "LowCardinality(String)"),
    ("architecture", "LowCardinality(String)"),
    ("duration_ns", "UInt64"),
    ("environment", "LowCardinality(Nullable(String))"),
    ("platform", "LowCardinality(String)"),
    ("trace_id", "UUID"),
    ("transaction_name", "LowCardinality(String)"),
    ("version_name", "LowCardinality(String)"),
    ("version_code", "LowCardinality(String)"),
    ("retention_days", "UInt16"),
    ("partition", "UInt16"),
    ("offset", "UInt64"),
];

/// Writes the profile as one row.
///
/// # Errors
/// If the row is not the manifest's.
pub fn write(profile: &Profile<'_>, message: &Message<'_>, rows: &mut Rows) -> Result<(), Rejection> {
    let mut row = rows.begin(0);
    row.u64(profile.organization_id).u64(profile.project_id).uuid(profile.transaction_id).uuid(profile.profile_id);
    row.date_time(epoch::date_time(profile.received));
    device(&mut row, profile);
    row.u64(profile.duration_ns).nullable(profile.environment.0.as_deref()).string(&profile.platform);
    row.uuid(profile.trace_id).string(&profile.transaction_name);
    row.string(&profile.version_name).string(&profile.version_code);
    row.u16(retention::days(profile.retention_days));
    row.u16(message.partition() as u16).u64(message.offset() as u64);
    row.end()
}

fn device(row: &mut Row<'_>, profile: &Profile<'_>) {
    row.nullable(profile.android_api_level.0).string(profile.device_classification.or_empty());
    row.string(&profile.device_locale).string(&profile.device_manufacturer).string(&profile.device_model);
    row.nullable(profile.device_os_build_number.get());
    row.string(&profile.device_os_name).string(&profile.device_os_version);
    row.string(profile.architecture.or_empty());
}
