//! The row: its columns, and what goes into each, in the same order.

use shared::datetime::{self, seconds};
use shared::{retention, uuid};
use tidegate_processor::{DateTime, Message, Rejection, Row, Rows, Uuid};

use crate::event::{Data, Event, Occurrence};

/// Every column that is written; MATERIALIZED ones are the table's own.
pub const COLUMNS: &[(&str, &str)] = &[
    ("organization_id", "UInt64"),
    ("project_id", "UInt64"),
    ("group_id", "UInt64"),
    ("search_title", "String"),
    ("primary_hash", "UUID"),
    ("fingerprint", "Array(String)"),
    ("occurrence_id", "UUID"),
    ("occurrence_type_id", "UInt16"),
    ("detection_timestamp", "DateTime"),
    ("resource_id", "Nullable(String)"),
    ("message", "String"),
    ("subtitle", "Nullable(String)"),
    ("culprit", "Nullable(String)"),
    ("level", "LowCardinality(Nullable(String))"),
    ("event_id", "Nullable(UUID)"),
    ("trace_id", "Nullable(UUID)"),
    ("platform", "LowCardinality(String)"),
    ("environment", "LowCardinality(Nullable(String))"),
    ("release", "LowCardinality(Nullable(String))"),
    ("dist", "LowCardinality(Nullable(String))"),
    ("receive_timestamp", "DateTime"),
    ("client_timestamp", "DateTime"),
    ("tags.key", "Array(String)"),
    ("tags.value", "Array(String)"),
    ("user", "Nullable(String)"),
    ("user_id", "Nullable(String)"),
    ("user_name", "Nullable(String)"),
    ("user_email", "Nullable(String)"),
    ("ip_address_v4", "Nullable(IPv4)"),
    ("ip_address_v6", "Nullable(IPv6)"),
    ("sdk_name", "LowCardinality(Nullable(String))"),
    ("sdk_version", "LowCardinality(Nullable(String))"),
    ("contexts.key", "Array(String)"),
    ("contexts.value", "Array(String)"),
    ("http_method", "LowCardinality(Nullable(String))"),
    ("http_referer", "Nullable(String)"),
    ("transaction_duration", "UInt32"),
    ("profile_id", "Nullable(UUID)"),
    ("replay_id", "Nullable(UUID)"),
    ("message_timestamp", "DateTime"),
    ("partition", "UInt16"),
    ("offset", "UInt64"),
    ("retention_days", "UInt16"),
    ("group_first_seen", "Nullable(DateTime)"),
    ("timestamp_ms", "Nullable(DateTime64(3))"),
];

/// Writes the issue as one row.
///
/// # Errors
/// If the occurrence has no UUID.
pub fn write(mut event: Box<Event<'_>>, message: &Message<'_>, rows: &mut Rows) -> Result<(), Rejection> {
    let occurrence_id = Uuid::parse(&event.occurrence_id).ok_or("\"occurrence_id\" is not a UUID")?;
    let at_ms = datetime::milliseconds(Some(&event.datetime), message.now_ms());
    let geo = std::mem::take(&mut event.data.user.geo);
    event.data.contexts.put_geo(geo);
    let data = &event.data;
    let [trace_id, profile_id, replay_id] = [("trace", "trace_id"), ("profile", "profile_id"), ("replay", "replay_id")]
        .map(|(name, key)| data.contexts.uuid(name, key));
    let contexts: Vec<_> = data.contexts.stored().collect();
    let mut row = rows.begin(0);
    row.u64(event.organization_id.unwrap_or_default()).u64(event.project_id).u64(event.group_id);
    row.string(&event.occurrence_data.issue_title).uuid(uuid::of(&event.primary_hash));
    row.array(&event.occurrence_data.fingerprint).uuid(occurrence_id);
    occurrence(&mut row, &event.occurrence_data, &event.message);
    row.nullable(event.event_id.0.as_deref().and_then(Uuid::parse)).nullable(trace_id);
    row.string(event.platform.or_empty());
    row.nullable(data.tags.get("environment").or(data.environment.get()));
    row.nullable(data.tags.get("sentry:release").or(data.release.get()));
    row.nullable(data.tags.get("sentry:dist").or(data.dist.get()));
    row.date_time(DateTime(data.received as u32)).date_time(seconds(at_ms));
    row.array(data.tags.keys()).array(data.tags.values());
    who(&mut row, data);
    row.nullable(Some(data.sdk.name.or_empty())).nullable(Some(data.sdk.version.or_empty()));
    row.array(contexts.iter().map(|(key, _)| *key)).array(contexts.iter().map(|(_, value)| *value));
    row.nullable(data.request.method.get()).nullable(data.request.referer());
    row.u32(data.transaction_duration_ms()).nullable(profile_id);
    row.nullable(replay_id.or_else(|| data.tags.get("replayId").and_then(Uuid::parse)));
    row.date_time(seconds(message.timestamp_ms())).u16(message.partition() as u16).u64(message.offset() as u64);
    row.u16(retention::days(event.retention_days.0));
    let first_seen_ms = datetime::milliseconds(event.group_first_seen.0.as_deref(), message.now_ms());
    row.nullable(Some(seconds(first_seen_ms))).nullable(Some(datetime::ticks(at_ms)));
    row.end()
}

fn occurrence(row: &mut Row<'_>, occurrence: &Occurrence<'_>, message: &str) {
    row.u16(occurrence.kind).date_time(DateTime(occurrence.detection_time as u32));
    row.nullable(occurrence.resource_id.get()).string(message);
    row.nullable(occurrence.subtitle.get()).nullable(occurrence.culprit.get()).nullable(occurrence.level.get());
}

fn who(row: &mut Row<'_>, data: &Data<'_>) {
    let (v4, v6) = data.user.addresses();
    row.nullable(data.tags.get("sentry:user"));
    row.nullable(data.user.id.get()).nullable(data.user.username.get()).nullable(data.user.email.get());
    row.nullable(v4).nullable(v6);
}
