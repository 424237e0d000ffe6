//! The row: its columns, and what goes into each, in the same order.

use serde::de::IgnoredAny;
use serde_json::Number;
use shared::metric::{Value, all};
use shared::retention;
use tidegate_processor::{Message, Rejection, Rows};

/// Keys and values of its tags are numbers.
pub type Metric<'a> = shared::metric::Metric<'a, u64, IgnoredAny>;

/// Every column that is written.
pub const COLUMNS: &[(&str, &str)] = &[
    ("use_case_id", "LowCardinality(String)"),
    ("metric_type", "LowCardinality(String)"),
    ("org_id", "UInt64"),
    ("project_id", "UInt64"),
    ("metric_id", "UInt64"),
    ("timestamp", "DateTime"),
    ("tags.key", "Array(UInt64)"),
    ("tags.value", "Array(UInt64)"),
    ("count_value", "Float64"),
    ("set_values", "Array(UInt64)"),
    ("distribution_values", "Array(Float64)"),
    ("materialization_version", "UInt8"),
    ("retention_days", "UInt16"),
    ("partition", "UInt16"),
    ("offset", "UInt64"),
    ("timeseries_id", "UInt32"),
];

/// Read by the table's views.
const MATERIALIZATION_VERSION: u8 = 4;

/// Name of the type, and the value in the column of its type; the other columns are empty.
struct Typed {
    name: &'static str,
    count: f64,
    set: Vec<u64>,
    distribution: Vec<f64>,
}

impl Typed {
    fn of(metric: &Metric<'_>) -> Result<Self, Rejection> {
        let typed = |name| Typed { name, count: 0.0, set: Vec::new(), distribution: Vec::new() };
        Ok(match &*metric.kind {
            "c" => Typed { count: metric.value.number()?, ..typed("counter") },
            "s" => Typed { set: all(array(&metric.value)?, Number::as_u64)?, ..typed("set") },
            "d" => Typed { distribution: all(array(&metric.value)?, Number::as_f64)?, ..typed("distribution") },
            other => return Err(Rejection::new(format!("a metric of type {other:?}"))),
        })
    }
}

fn array<'v>(value: &'v Value<'_, IgnoredAny>) -> Result<&'v [Number], Rejection> {
    match value {
        Value::Array(numbers) => Ok(numbers),
        _ => Err("the value is not an array of numbers".into()),
    }
}

/// Writes the metric as one row.
///
/// # Errors
/// If it is of an unknown type, its value is not of its type, or the key of a tag is not a number.
pub fn write(metric: &Metric<'_>, message: &Message<'_>, rows: &mut Rows) -> Result<(), Rejection> {
    let typed = Typed::of(metric)?;
    let keys = metric.tag_keys()?;
    let mut row = rows.begin(0);
    row.string(metric.use_case_id.as_deref().unwrap_or("sessions")).string(typed.name);
    row.u64(metric.org_id).u64(metric.project_id).u64(metric.metric_id).date_time(metric.timestamp());
    row.array(&keys).array(metric.tags.0.iter().map(|(_, value)| *value));
    row.f64(typed.count).array(&typed.set).array(&typed.distribution).u8(MATERIALIZATION_VERSION);
    row.u16(retention::days(Some(metric.retention_days)));
    row.u16(message.partition() as u16).u64(message.offset() as u64);
    row.u32(metric.timeseries_id(|value| value.to_le_bytes()));
    row.end()
}
