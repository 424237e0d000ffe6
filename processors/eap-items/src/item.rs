//! `TraceItem` and its parts, as far as rows are made of them. Fields that are not here are skipped when they are read.

use tidegate_processor::DateTime;

#[derive(Clone, PartialEq, prost::Message)]
pub struct TraceItem {
    #[prost(uint64, tag = "1")]
    pub organization_id: u64,
    #[prost(uint64, tag = "2")]
    pub project_id: u64,
    #[prost(string, tag = "3")]
    pub trace_id: String,
    /// A number of 16 bytes, little-endian.
    #[prost(bytes = "vec", tag = "4")]
    pub item_id: Vec<u8>,
    #[prost(int32, tag = "5")]
    pub item_type: i32,
    #[prost(message, optional, tag = "6")]
    pub timestamp: Option<Timestamp>,
    /// A `map<string, AnyValue>`, read as what it is on the wire: no hash map is needed to sort it into others.
    #[prost(message, repeated, tag = "7")]
    pub attributes: Vec<Attribute>,
    #[prost(double, tag = "8")]
    pub client_sample_rate: f64,
    #[prost(double, tag = "9")]
    pub server_sample_rate: f64,
    #[prost(string, tag = "10")]
    pub conversation_id: String,
    #[prost(string, tag = "11")]
    pub session_id: String,
    #[prost(uint32, tag = "100")]
    pub retention_days: u32,
    #[prost(message, optional, tag = "101")]
    pub received: Option<Timestamp>,
    #[prost(uint32, tag = "102")]
    pub downsampled_retention_days: u32,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Timestamp {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Attribute {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5")]
    pub value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Float(f64),
    #[prost(message, tag = "5")]
    Array(ArrayValue),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ArrayValue {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<AnyValue>,
}

impl TraceItem {
    /// The attributes that have a value, in their order.
    pub fn attributes(&self) -> impl DoubleEndedIterator<Item = (&str, &Value)> {
        self.attributes.iter().filter_map(|attribute| Some((attribute.key.as_str(), attribute.value()?)))
    }

    /// The text of an attribute.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.attributes().rfind(|(have, _)| *have == key)?.1 {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Attribute {
    fn value(&self) -> Option<&Value> {
        self.value.as_ref()?.value.as_ref()
    }
}

impl Timestamp {
    /// Whole seconds, at the nearest end where they do not fit.
    pub fn date_time(&self) -> DateTime {
        DateTime(u32::try_from(self.seconds.max(0)).unwrap_or(u32::MAX))
    }

    /// Since 1970.
    pub fn milliseconds(&self) -> i64 {
        self.seconds.saturating_mul(1000).saturating_add(i64::from(self.nanos / 1_000_000))
    }
}

/// Of `item_type`: those that have a name of their own.
pub const SPAN: u8 = 1;
pub const METRIC: u8 = 8;
