//! The row: its columns, and what goes into each, in the same order.

use shared::{id, retention};
use tidegate_processor::{Message, Rejection, Row, Rows, Uuid};

use crate::attributes::{Attributes, BUCKETS};
use crate::item::{METRIC, SPAN, TraceItem, Value};

/// The columns before the maps that keys are spread over.
const FIRST_COLUMNS: &[(&str, &str)] = &[
    ("organization_id", "UInt64"),
    ("project_id", "UInt64"),
    ("item_type", "UInt8"),
    ("timestamp", "DateTime"),
    ("trace_id", "UUID"),
    ("session_id", "UUID"),
    ("ai_conversation_id", "String"),
    ("item_id", "UInt128"),
    ("indexed_name", "String"),
    ("sampling_weight", "UInt64"),
    ("sampling_factor", "Float64"),
    ("client_sample_rate", "Float64"),
    ("server_sample_rate", "Float64"),
    ("retention_days", "UInt16"),
    ("downsampled_retention_days", "UInt16"),
    ("received_at", "Nullable(DateTime)"),
    ("attributes_bool", "Map(String, Bool)"),
    ("attributes_int", "Map(String, Int64)"),
    ("attributes_array_string", "Map(String, Array(String))"),
    ("attributes_array_int", "Map(String, Array(Int64))"),
    ("attributes_array_float", "Map(String, Array(Float64))"),
    ("attributes_array_bool", "Map(String, Array(Bool))"),
];

/// The attribute that says when the item came here, milliseconds since 1970.
const INGESTED_AT: &str = "sentry._internal.ingested_at";

/// Every column.
pub fn columns() -> Vec<(String, &'static str)> {
    let first = FIRST_COLUMNS.iter().map(|(name, kind)| ((*name).to_owned(), *kind));
    let texts = (0..BUCKETS).map(|bucket| (format!("attributes_string_{bucket}"), "Map(String, String)"));
    let floats = (0..BUCKETS).map(|bucket| (format!("attributes_float_{bucket}"), "Map(String, Float64)"));
    first.chain(texts).chain(floats).collect()
}

/// Writes the item as one row.
///
/// # Errors
/// If its type, time or one of its ids is missing or not what it should be.
pub fn write(item: &TraceItem, message: &Message<'_>, rows: &mut Rows) -> Result<(), Rejection> {
    let item_type = u8::try_from(item.item_type).map_err(|_| "item_type is not a number from 0 to 255")?;
    let timestamp = item.timestamp.as_ref().ok_or("timestamp is missing")?;
    let trace_id = Uuid::parse(&item.trace_id).ok_or("trace_id is not a UUID")?;
    let item_id = item.item_id.as_slice().try_into().map_err(|_| "item_id has not 16 bytes")?;
    let session_id = Uuid::parse(&item.session_id).filter(|id| *id != Uuid::default());
    let ingested_at = Value::Int(message.now_ms());

    let mut row = rows.begin(0);
    row.u64(item.organization_id).u64(item.project_id).u8(item_type).date_time(timestamp.date_time());
    row.uuid(trace_id).uuid(session_id.unwrap_or_else(|| id::of_message(message)));
    row.string(&item.conversation_id).u128(u128::from_le_bytes(item_id)).string(indexed_name(item, item_type));
    sampling(&mut row, item);
    kept(&mut row, item);
    row.nullable(item.received.as_ref().map(|received| received.date_time()));
    Attributes::of(item, (INGESTED_AT, &ingested_at)).write(&mut row);
    row.end()
}

/// The attribute by which items of a type are looked up most.
fn indexed_name(item: &TraceItem, item_type: u8) -> &str {
    let key = match item_type {
        SPAN => "sentry.op",
        METRIC => "sentry.metric.name",
        _ => return "",
    };
    item.text(key).unwrap_or_default()
}

/// A rate that is none (0, or above 1) samples nothing away.
fn sampling(row: &mut Row<'_>, item: &TraceItem) {
    let [client, server] = [item.client_sample_rate, item.server_sample_rate]
        .map(|rate| if rate > 0.0 && rate <= 1.0 { rate } else { 1.0 });
    let factor = ((client * server * 1e6).round() / 1e6).max(1e-6);
    row.u64((1.0 / factor).round() as u64).f64(factor).f64(client).f64(server);
}

/// For how long: retentions are days, and 0 says nothing.
fn kept(row: &mut Row<'_>, item: &TraceItem) {
    let days = retention::days((item.retention_days > 0).then_some(item.retention_days));
    let downsampled = match item.downsampled_retention_days {
        0 => days,
        days => u16::try_from(days).unwrap_or(u16::MAX),
    };
    row.u16(days).u16(downsampled);
}
