//! The row: its columns, and what goes into each, in the same order.

use shared::lenient::{List, Text};
use tidegate_processor::{DateTime, Message, Rejection, Row, Rows, Uuid};

use crate::entry::{Entry, Query};

/// Every column that is written.
pub const COLUMNS: &[(&str, &str)] = &[
    ("request_id", "UUID"),
    ("request_body", "String"),
    ("referrer", "LowCardinality(String)"),
    ("dataset", "LowCardinality(String)"),
    ("projects", "Array(UInt64)"),
    ("organization", "Nullable(UInt64)"),
    ("timestamp", "DateTime"),
    ("duration_ms", "UInt32"),
    ("status", "LowCardinality(String)"),
    ("partition", "UInt16"),
    ("offset", "UInt64"),
    ("clickhouse_queries.sql", "Array(String)"),
    ("clickhouse_queries.status", "Array(LowCardinality(String))"),
    ("clickhouse_queries.trace_id", "Array(Nullable(UUID))"),
    ("clickhouse_queries.duration_ms", "Array(UInt32)"),
    ("clickhouse_queries.stats", "Array(String)"),
    ("clickhouse_queries.final", "Array(UInt8)"),
    ("clickhouse_queries.cache_hit", "Array(UInt8)"),
    ("clickhouse_queries.sample", "Array(Float32)"),
    ("clickhouse_queries.max_threads", "Array(UInt8)"),
    ("clickhouse_queries.num_days", "Array(UInt32)"),
    ("clickhouse_queries.clickhouse_table", "Array(LowCardinality(String))"),
    ("clickhouse_queries.query_id", "Array(String)"),
    ("clickhouse_queries.is_duplicate", "Array(UInt8)"),
    ("clickhouse_queries.consistent", "Array(UInt8)"),
    ("clickhouse_queries.all_columns", "Array(Array(LowCardinality(String)))"),
    ("clickhouse_queries.or_conditions", "Array(UInt8)"),
    ("clickhouse_queries.where_columns", "Array(Array(LowCardinality(String)))"),
    ("clickhouse_queries.where_mapping_columns", "Array(Array(LowCardinality(String)))"),
    ("clickhouse_queries.groupby_columns", "Array(Array(LowCardinality(String)))"),
    ("clickhouse_queries.array_join_columns", "Array(Array(LowCardinality(String)))"),
    ("clickhouse_queries.bytes_scanned", "Array(UInt64)"),
    ("clickhouse_queries.bytes", "Array(UInt64)"),
];

/// Writes the entry as one row.
///
/// # Errors
/// If the id of the request or the trace of a query is not a UUID.
pub fn write(entry: &Entry<'_>, message: &Message<'_>, rows: &mut Rows) -> Result<(), Rejection> {
    let request_id = Uuid::parse(&entry.request.id).ok_or("request.id is not a UUID")?;
    let trace_ids: Vec<_> = entry.query_list.iter().map(Query::trace_id).collect::<Result<_, _>>()?;

    let mut row = rows.begin(0);
    row.uuid(request_id).string(entry.request.body.or_empty()).string(&entry.request.referrer);
    row.string(&entry.dataset).array(&entry.projects).nullable(entry.organization);
    row.date_time(DateTime(at_most(entry.timing.timestamp))).u32(at_most(entry.timing.duration_ms));
    row.string(&entry.status).u16(message.partition() as u16).u64(message.offset() as u64);
    executed(&mut row, &entry.query_list, &trace_ids);
    settings(&mut row, &entry.query_list);
    asked(&mut row, &entry.query_list);
    row.array(entry.query_list.iter().map(|query| query.result_profile.progress_bytes.0 as u64));
    row.array(entry.query_list.iter().map(|query| query.result_profile.bytes.0 as u64));
    row.end()
}

fn executed(row: &mut Row<'_>, queries: &[Query<'_>], trace_ids: &[Uuid]) {
    row.array(queries.iter().map(|query| &*query.sql));
    row.array(queries.iter().map(|query| &*query.status));
    row.array(trace_ids.iter().map(|id| Some(*id)));
    row.array(queries.iter().map(|query| query.result_profile.duration_ms()));
    row.array(queries.iter().map(Query::stats));
}

fn settings(row: &mut Row<'_>, queries: &[Query<'_>]) {
    row.array(queries.iter().map(|query| query.stat_number("final") as u8));
    row.array(queries.iter().map(|query| query.stat_number("cache_hit") as u8));
    row.array(queries.iter().map(|query| query.stat_number("sample") as f32));
    row.array(queries.iter().map(|query| query.stat_number("max_threads") as u8));
    row.array(queries.iter().map(|query| query.profile.time_range.0.unwrap_or(0)));
    row.array(queries.iter().map(|query| query.stat_text("clickhouse_table")));
    row.array(queries.iter().map(|query| query.stat_text("query_id")));
    row.array(queries.iter().map(|query| query.stat_number("is_duplicate") as u8));
    row.array(queries.iter().map(|query| query.stat_number("consistent") as u8));
}

fn asked(row: &mut Row<'_>, queries: &[Query<'_>]) {
    row.array(queries.iter().map(|query| texts(&query.profile.all_columns)));
    row.array(queries.iter().map(|query| u8::from(query.profile.multi_level_condition.0 == Some(true))));
    row.array(queries.iter().map(|query| texts(&query.profile.where_profile.columns)));
    row.array(queries.iter().map(|query| texts(&query.profile.where_profile.mapping_cols)));
    row.array(queries.iter().map(|query| texts(&query.profile.groupby_cols)));
    row.array(queries.iter().map(|query| texts(&query.profile.array_join_cols)));
}

fn texts<'q>(list: &'q List<Text<'_>>) -> Vec<&'q str> {
    list.0.iter().filter_map(Text::get).collect()
}

/// At the nearest end where it does not fit.
fn at_most(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
