//! The row: its columns, and what goes into each, in the same order.

use serde::Deserialize;
use serde_json::Value;
use shared::lenient::Object;
use shared::who::User;
use tidegate_processor::{Message, Rejection, Row, Rows, Uuid};

use crate::Config;
use crate::event::{Data, Event, Measurements};
use crate::spans::{self, Timed};
use crate::times::Times;

/// Every column that is written; MATERIALIZED ones are the table's own.
pub const COLUMNS: &[(&str, &str)] = &[
    ("project_id", "UInt64"),
    ("event_id", "UUID"),
    ("trace_id", "Nullable(UUID)"),
    ("span_id", "UInt64"),
    ("transaction_name", "LowCardinality(String)"),
    ("transaction_op", "LowCardinality(String)"),
    ("transaction_status", "UInt8"),
    ("start_ts", "DateTime"),
    ("start_ms", "UInt16"),
    ("finish_ts", "DateTime"),
    ("finish_ms", "UInt16"),
    ("duration", "UInt32"),
    ("platform", "LowCardinality(String)"),
    ("environment", "LowCardinality(Nullable(String))"),
    ("release", "LowCardinality(Nullable(String))"),
    ("dist", "LowCardinality(Nullable(String))"),
    ("user", "String"),
    ("user_id", "Nullable(String)"),
    ("user_name", "Nullable(String)"),
    ("user_email", "Nullable(String)"),
    ("ip_address_v4", "Nullable(IPv4)"),
    ("ip_address_v6", "Nullable(IPv6)"),
    ("sdk_name", "LowCardinality(String)"),
    ("sdk_version", "LowCardinality(String)"),
    ("http_method", "LowCardinality(Nullable(String))"),
    ("http_referer", "Nullable(String)"),
    ("tags.key", "Array(String)"),
    ("tags.value", "Array(String)"),
    ("contexts.key", "Array(String)"),
    ("contexts.value", "Array(String)"),
    ("measurements.key", "Array(LowCardinality(String))"),
    ("measurements.value", "Array(Float64)"),
    ("span_op_breakdowns.key", "Array(LowCardinality(String))"),
    ("span_op_breakdowns.value", "Array(Float64)"),
    ("spans.op", "Array(String)"),
    ("spans.group", "Array(UInt64)"),
    ("spans.exclusive_time", "Array(Float64)"),
    ("spans.exclusive_time_32", "Array(Float32)"),
    ("partition", "UInt16"),
    ("offset", "UInt64"),
    ("retention_days", "UInt16"),
    ("deleted", "UInt8"),
    ("transaction_source", "LowCardinality(String)"),
    ("group_ids", "Array(UInt64)"),
    ("app_start_type", "LowCardinality(String)"),
    ("profile_id", "Nullable(UUID)"),
    ("profiler_id", "Nullable(UUID)"),
    ("replay_id", "Nullable(UUID)"),
];

/// Writes the transaction as one row.
///
/// # Errors
/// If a required field is missing or of a wrong type.
pub fn write(
    event: &Event<'_>,
    times: &Times,
    config: &Config,
    message: &Message<'_>,
    rows: &mut Rows,
) -> Result<(), Rejection> {
    let data = &event.data;
    let contexts = &data.contexts;
    let project_id = event.project_id.as_u64().ok_or("\"project_id\" is not a number of a project")?;
    let event_id = event.event_id.0.as_deref().and_then(Uuid::parse).ok_or("\"event_id\" is not a UUID")?;
    let span_id = contexts.get("trace", "span_id").and_then(|id| u64::from_str_radix(id, 16).ok());
    let span_id = span_id.ok_or("\"data.contexts.trace.span_id\" is not a hexadecimal number of 64 bits")?;

    let mut row = rows.begin(0);
    row.u64(project_id).uuid(event_id).nullable(contexts.uuid("trace", "trace_id")).u64(span_id);
    row.string(data.transaction.or_empty()).string(&contexts.text("trace", "op"));
    row.u8(contexts.get("trace", "status").map_or(STATUS_UNKNOWN, status));
    row.date_time(times.start.seconds()).u16(times.start.milliseconds());
    row.date_time(times.finish.seconds()).u16(times.finish.milliseconds());
    row.u32(times.duration_ms()).string(event.platform.or_empty());
    row.nullable(data.tags.get("environment"));
    row.nullable(data.tags.get("sentry:release").or(event.release.get()));
    row.nullable(data.tags.get("sentry:dist").or(data.dist.get()));
    who(&mut row, data);
    row.string(data.sdk.name.or_empty()).string(data.sdk.version.or_empty());
    row.nullable(data.request().and_then(|request| request.method.get()));
    row.nullable(data.request().and_then(|request| request.header("Referer")));
    tags(&mut row, data);
    let stored = contexts.stored(data.user().get("geo"), config.skipped_contexts(project_id));
    row.array(stored.iter().map(|(key, _)| key)).array(stored.iter().map(|(_, value)| value));
    measurements(&mut row, &data.measurements);
    measurements(&mut row, &data.breakdowns.span_ops);
    times_of_spans(&mut row, &spans::timed(data));
    row.u16(message.partition() as u16).u64(message.offset() as u64);
    row.u16(config.retention_days(event)).u8(0);
    row.string(data.transaction_info.source.or_empty());
    row.array(event.group_ids.0.iter().take(GROUP_IDS_MAX).filter_map(Value::as_u64));
    row.string(&contexts.text("app", "start_type"));
    row.nullable(contexts.uuid("profile", "profile_id")).nullable(contexts.uuid("profile", "profiler_id"));
    let tagged_replay = || data.tags.get(REPLAY_TAG).and_then(Uuid::parse);
    row.nullable(contexts.uuid("replay", "replay_id").or_else(tagged_replay));
    row.end()
}

fn who(row: &mut Row<'_>, data: &Data<'_>) {
    let Object(user) = Object::<User<'_>>::deserialize(data.user()).unwrap_or_default();
    let (v4, v6) = user.addresses();
    row.string(data.tags.get("sentry:user").unwrap_or_default());
    row.nullable(user.id.get()).nullable(user.username.get()).nullable(user.email.get()).nullable(v4).nullable(v6);
}

/// The tags, and last the replay if there is no tag for it.
fn tags(row: &mut Row<'_>, data: &Data<'_>) {
    let replay = data.contexts.uuid("replay", "replay_id").filter(|_| data.tags.get(REPLAY_TAG).is_none());
    let replay = replay.map(|id| id.simple());
    let replay = replay.as_deref().map(|id| (REPLAY_TAG, id));
    row.array(data.tags.stored().chain(replay).map(|(key, _)| key));
    row.array(data.tags.stored().chain(replay).map(|(_, value)| value));
}

fn measurements(row: &mut Row<'_>, measurements: &Measurements<'_>) {
    row.array(measurements.numbers().map(|(name, _)| name)).array(measurements.numbers().map(|(_, value)| value));
}

/// `exclusive_time` is retired and always 0.
fn times_of_spans(row: &mut Row<'_>, spans: &[Timed]) {
    row.array(spans.iter().map(|span| &span.op)).array(spans.iter().map(|span| span.group));
    row.array(spans.iter().map(|_| 0.0)).array(spans.iter().map(|span| span.exclusive_time as f32));
}

/// The code of a status of OpenTelemetry's spans.
fn status(name: &str) -> u8 {
    match name {
        "ok" => 0,
        "cancelled" => 1,
        "invalid_argument" => 3,
        "deadline_exceeded" => 4,
        "not_found" => 5,
        "already_exists" => 6,
        "permission_denied" => 7,
        "resource_exhausted" => 8,
        "failed_precondition" => 9,
        "aborted" => 10,
        "out_of_range" => 11,
        "unimplemented" => 12,
        "internal_error" | "unknown_error" => 13,
        "unavailable" => 14,
        "data_loss" => 15,
        "unauthenticated" => 16,
        _ => STATUS_UNKNOWN,
    }
}

const STATUS_UNKNOWN: u8 = 2;

/// Stored of an event; the others are dropped.
const GROUP_IDS_MAX: usize = 10;

const REPLAY_TAG: &str = "replayId";
