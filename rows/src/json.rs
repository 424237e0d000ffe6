//! A row as ClickHouse's JSONEachRow prints it, 64-bit integers as numbers, wider ones as text.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Number, Value};

use crate::layout::{Column, Layout};
use crate::types::Type;
use crate::walk::{Reject, RowError, Visitor, walk};
use crate::{calendar, wide};

/// # Errors
/// If the bytes are not one row; see [`walk`].
pub fn row(layout: &Layout, row: &[u8]) -> Result<Map<String, Value>, RowError> {
    let mut printer = Printer { row: Map::new(), column: String::new(), open: Vec::new() };
    walk(layout, row, &mut printer)?;
    Ok(printer.row)
}

struct Printer {
    row: Map<String, Value>,
    column: String,
    /// Elements of the arrays, maps and tuples that are not at their end yet.
    open: Vec<Vec<Value>>,
}

impl Printer {
    fn put(&mut self, value: Value) {
        match self.open.last_mut() {
            Some(elements) => elements.push(value),
            None => {
                self.row.insert(std::mem::take(&mut self.column), value);
            }
        }
    }
}

impl Visitor for Printer {
    fn column(&mut self, column: &Column) {
        self.column.clone_from(&column.name);
    }

    fn value(&mut self, kind: &Type, bytes: &[u8]) -> Result<(), Reject> {
        self.put(print(kind, bytes));
        Ok(())
    }

    fn null(&mut self) {
        self.put(Value::Null);
    }

    fn begin(&mut self, _kind: &Type, len: usize) {
        self.open.push(Vec::with_capacity(len.min(1024)));
    }

    fn end(&mut self, kind: &Type) {
        let elements = self.open.pop().unwrap_or_default();
        let value = match kind {
            Type::Map(..) => Value::Object(pairs(elements)),
            Type::Tuple(fields) if fields.iter().all(|(name, _)| name.is_some()) => {
                let names = fields.iter().filter_map(|(name, _)| name.clone());
                Value::Object(names.zip(elements).collect())
            }
            _ => Value::Array(elements),
        };
        self.put(value);
    }
}

fn pairs(elements: Vec<Value>) -> Map<String, Value> {
    let mut map = Map::new();
    let mut elements = elements.into_iter();
    while let (Some(key), Some(value)) = (elements.next(), elements.next()) {
        let key = match key {
            Value::String(text) => text,
            other => other.to_string(),
        };
        map.insert(key, value);
    }
    map
}

fn print(kind: &Type, bytes: &[u8]) -> Value {
    match kind {
        Type::UInt(16 | 32) => wide::unsigned(bytes).into(),
        Type::Int(16 | 32) => wide::signed(bytes).into(),
        Type::UInt(_) => little_endian(bytes).into(),
        Type::Int(_) => extended(bytes).into(),
        Type::Bool => (bytes[0] != 0).into(),
        Type::Float32 => float(serde_json::to_string(&f32::from_le_bytes(fixed(bytes)))),
        Type::Float64 => float(serde_json::to_string(&f64::from_le_bytes(fixed(bytes)))),
        Type::String | Type::FixedString(_) => String::from_utf8_lossy(bytes).into(),
        Type::Uuid => uuid_text(bytes).into(),
        Type::Date => calendar::date(little_endian(bytes) as i64).into(),
        Type::Date32 => calendar::date(extended(bytes)).into(),
        Type::DateTime => calendar::date_time(little_endian(bytes) as i64).into(),
        Type::DateTime64(digits) => calendar::date_time_64(extended(bytes), *digits).into(),
        Type::Decimal(_, scale) => decimal(bytes, usize::from(*scale)),
        Type::Enum8(values) | Type::Enum16(values) => enum_name(values, extended(bytes)),
        Type::Ipv4 => Ipv4Addr::from(little_endian(bytes) as u32).to_string().into(),
        Type::Ipv6 => Ipv6Addr::from(fixed::<16>(bytes)).to_string().into(),
        Type::Nullable(_) | Type::Array(_) | Type::Map(..) | Type::Tuple(_) => Value::Null,
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the walk hands over the exact width")
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Two's complement of up to 8 bytes.
fn extended(bytes: &[u8]) -> i64 {
    let unused = 64 - 8 * bytes.len() as u32;
    (little_endian(bytes) << unused) as i64 >> unused
}

/// The shortest text that reads back as the same number, whole ones without a fraction; null for what JSON has no
/// number for.
fn float(text: serde_json::Result<String>) -> Value {
    match text.ok().and_then(|text| text.parse::<f64>().ok()) {
        Some(number) if number.fract() == 0.0 && number.abs() < 9e15 && number.to_bits() != MINUS_ZERO => {
            (number as i64).into()
        }
        Some(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
        None => Value::Null,
    }
}

const MINUS_ZERO: u64 = 1 << 63;

/// Two halves of 8 bytes, each of them reversed.
fn uuid_text(bytes: &[u8]) -> String {
    let high = little_endian(&bytes[..8]);
    let low = little_endian(&bytes[8..]);
    uuid::Uuid::from_u64_pair(high, low).to_string()
}

fn decimal(bytes: &[u8], scale: usize) -> Value {
    let digits = wide::signed(bytes);
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |digits| ("-", digits));
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    let fraction = fraction.trim_end_matches('0');
    let text = if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") };
    // Text where a number of JSON's would lose digits.
    let number = text.parse::<Number>().ok().filter(|number| number.to_string() == text);
    number.map_or(Value::String(text), Value::Number)
}

fn enum_name(values: &[(String, i16)], value: i64) -> Value {
    match values.iter().find(|(_, have)| i64::from(*have) == value) {
        Some((name, _)) => name.clone().into(),
        None => value.into(),
    }
}
