//! The row: its columns, and what goes into each, in the same order.

use shared::datetime::{milliseconds, seconds};
use tidegate_processor::{Rejection, Rows};

use crate::call::Call;

/// Every column that is written.
pub const COLUMNS: &[(&str, &str)] = &[
    ("timestamp", "DateTime"),
    ("org_id", "UInt64"),
    ("project_id", "UInt64"),
    ("feature", "LowCardinality(String)"),
    ("model", "LowCardinality(String)"),
    ("region", "LowCardinality(String)"),
    ("call_type", "LowCardinality(String)"),
    ("prompt_tokens", "UInt32"),
    ("completion_tokens", "UInt32"),
    ("cache_read_tokens", "UInt32"),
    ("cache_write_tokens", "UInt32"),
    ("total_cost_usd", "Float64"),
    ("input_cost_usd", "Float64"),
    ("output_cost_usd", "Float64"),
    ("cache_read_cost_usd", "Float64"),
    ("cache_write_cost_usd", "Float64"),
    ("litellm_cost_usd", "Float64"),
    ("is_long_context", "UInt8"),
    ("is_regional", "UInt8"),
    ("response_time_ms", "Float64"),
    ("litellm_call_id", "String"),
];

/// Writes the call as one row.
///
/// # Errors
/// If the row does not have these columns.
pub fn write(call: &Call<'_>, now_ms: i64, rows: &mut Rows) -> Result<(), Rejection> {
    let mut row = rows.begin(0);
    row.date_time(seconds(milliseconds(call.timestamp.as_deref(), now_ms)));
    row.u64(call.org_id.0).u64(call.project_id.0);
    row.string(call.feature.or_empty()).string(call.model.or_empty());
    row.string(call.region.or_empty()).string(call.call_type.or_empty());
    row.u32(call.prompt_tokens.0).u32(call.completion_tokens.0);
    row.u32(call.cache_read_tokens.0).u32(call.cache_write_tokens.0);
    row.f64(call.total_cost_usd.0).f64(call.input_cost_usd.0).f64(call.output_cost_usd.0);
    row.f64(call.cache_read_cost_usd.0).f64(call.cache_write_cost_usd.0).f64(call.litellm_cost_usd.0);
    row.u8(call.is_long_context.0).u8(call.is_regional.0);
    row.f64(call.response_time_ms.0).string(call.litellm_call_id.or_empty());
    row.end()
}
