//! The rows: columns that all types have, those of each type, and what goes into each, in the same order.

use std::borrow::Cow;

use shared::retention;
use tidegate_processor::{Rejection, Row, Rows};

use crate::Metric;
use crate::series::{Gauge, MEMBERS, SAMPLES};

#[derive(Debug, serde::Deserialize)]
pub struct TagValue<'a>(#[serde(borrow)] Cow<'a, str>);

/// An output: what its rows are called and have.
pub struct Output {
    pub name: &'static str,
    metric_type: &'static str,
    /// Read by the table's views.
    materialization_version: u8,
    own_columns: &'static [(&'static str, &'static str)],
}

/// Written first, for every type.
const COLUMNS: &[(&str, &str)] = &[
    ("use_case_id", "LowCardinality(String)"),
    ("org_id", "UInt64"),
    ("project_id", "UInt64"),
    ("metric_id", "UInt64"),
    ("timestamp", "DateTime"),
    ("retention_days", "UInt16"),
    ("tags.key", "Array(UInt64)"),
    ("tags.indexed_value", "Array(UInt64)"),
    ("tags.raw_value", "Array(String)"),
    ("metric_type", "LowCardinality(String)"),
    ("materialization_version", "UInt8"),
    ("record_meta", "UInt8"),
    ("timeseries_id", "UInt32"),
    ("granularities", "Array(UInt8)"),
    ("min_retention_days", "UInt8"),
];

/// In the order of the types below.
pub const OUTPUTS: [Output; 4] = [
    Output {
        name: "counters",
        metric_type: "counter",
        materialization_version: 3,
        own_columns: &[("count_value", "Float64"), ("sampling_weight", "UInt64")],
    },
    Output {
        name: "sets",
        metric_type: "set",
        materialization_version: 2,
        own_columns: &[("set_values", "Array(UInt64)")],
    },
    Output {
        name: "distributions",
        metric_type: "distribution",
        materialization_version: 4,
        own_columns: &[
            ("distribution_values", "Array(Float64)"),
            ("enable_histogram", "UInt8"),
            ("disable_percentiles", "UInt8"),
            ("sampling_weight", "UInt64"),
        ],
    },
    Output {
        name: "gauges",
        metric_type: "gauge",
        materialization_version: 3,
        own_columns: &[
            ("gauges_values.last", "Array(Float64)"),
            ("gauges_values.min", "Array(Float64)"),
            ("gauges_values.max", "Array(Float64)"),
            ("gauges_values.sum", "Array(Float64)"),
            ("gauges_values.count", "Array(UInt64)"),
            ("sampling_weight", "UInt64"),
        ],
    },
];

/// A value of the metric's type.
pub enum Typed {
    Counter(f64),
    Set(Vec<u64>),
    Distribution(Vec<f64>),
    Gauge(Gauge),
}

impl Output {
    pub fn columns(&self) -> Vec<(&'static str, &'static str)> {
        [COLUMNS, self.own_columns].concat()
    }
}

impl Typed {
    /// None if the metric is of another type.
    ///
    /// # Errors
    /// If its value is not of its type, or decompresses to more than `bytes_max`.
    pub fn of(metric: &Metric<'_>, bytes_max: usize) -> Result<Option<Self>, Rejection> {
        Ok(Some(match &*metric.kind {
            "c" => Self::Counter(metric.value.number()?),
            "s" => Self::Set(MEMBERS.read(&metric.value, bytes_max)?),
            "d" => Self::Distribution(SAMPLES.read(&metric.value, bytes_max)?),
            "g" => Self::Gauge(Gauge::of(&metric.value)?),
            _ => return Ok(None),
        }))
    }

    /// Writes the metric as one row of its output.
    ///
    /// # Errors
    /// If the key of a tag is not a number.
    pub fn write(&self, metric: &Metric<'_>, use_case: &str, rows: &mut Rows) -> Result<(), Rejection> {
        let index = match self {
            Self::Counter(_) => 0,
            Self::Set(_) => 1,
            Self::Distribution(_) => 2,
            Self::Gauge(_) => 3,
        };
        let keys = metric.tag_keys()?;
        let mut row = rows.begin(index);
        common(&mut row, metric, use_case, &keys, &OUTPUTS[index]);
        self.own(&mut row, metric);
        row.end()
    }

    fn own(&self, row: &mut Row<'_>, metric: &Metric<'_>) {
        let weight = metric.sampling_weight();
        match self {
            Self::Counter(value) => row.f64(*value).u64(weight),
            Self::Set(members) => row.array(members),
            Self::Distribution(samples) => {
                let asked = |option| u8::from(metric.aggregation_option.is(option));
                row.array(samples).u8(asked("hist")).u8(asked("disable_percentiles")).u64(weight)
            }
            Self::Gauge(gauge) => {
                row.array([gauge.last]).array([gauge.min]).array([gauge.max]).array([gauge.sum]);
                row.array([gauge.count]).u64(weight)
            }
        };
    }
}

fn common(row: &mut Row<'_>, metric: &Metric<'_>, use_case: &str, keys: &[u64], output: &Output) {
    let retention_days = retention::days(Some(metric.retention_days));
    row.string(use_case).u64(metric.org_id).u64(metric.project_id).u64(metric.metric_id);
    row.date_time(metric.timestamp()).u16(retention_days);
    row.array(keys).array(keys.iter().map(|_| 0u64));
    row.array(metric.tags.0.iter().map(|(_, TagValue(value))| &**value));
    row.string(output.metric_type).u8(output.materialization_version);
    row.u8(u8::from(use_case != "escalating_issues"));
    row.u32(metric.timeseries_id(|TagValue(value)| value.as_bytes()));
    row.array(granularities(metric)).u8(retention_days as u8);
}

/// Minute, hour and day; ten seconds where asked for.
fn granularities(metric: &Metric<'_>) -> &'static [u8] {
    if metric.aggregation_option.is("ten_second") { &[1, 2, 3, 0] } else { &[1, 2, 3] }
}
