//! JSON values as bytes of a type.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::value::RawValue;

use super::DEFAULTS_BYTES_MAX;
use super::objects::Members;
use crate::types::Type;
use crate::walk::width;
use crate::{calendar, wide};

/// Writes a value of this type.
pub(super) struct Value<'a> {
    pub kind: &'a Type,
    pub row: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, json: D) -> Result<(), D::Error> {
        match self.kind {
            Type::Nullable(inner) => json.deserialize_option(OrNull { inner, row: self.row }),
            Type::Array(element) => json.deserialize_seq(Elements { element, row: self.row }),
            Type::Map(key, value) => json.deserialize_map(Pairs { key, value, row: self.row }),
            Type::Tuple(fields) => {
                json.deserialize_any(Members { fields: fields.as_slice(), row: self.row, on_key: |_: &str| {} })
            }
            // Their digits, because a number of JSON's parser would have lost some.
            Type::UInt(16 | 32) | Type::Int(16 | 32) | Type::Decimal(..) | Type::Float32 | Type::Float64 => {
                let text = <&RawValue>::deserialize(json)?.get();
                self.digits(text.trim_matches('"')).ok_or_else(|| self.refused(text))
            }
            _ => json.deserialize_any(self),
        }
    }
}

/// Types without inner types.
impl Visitor<'_> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value of {}", self.kind)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match self.kind {
            Type::Bool => {
                self.row.push(u8::from(value));
                Ok(())
            }
            _ => Err(E::invalid_type(Unexpected::Bool(value), &self)),
        }
    }

    fn visit_i64<E: Error>(mut self, value: i64) -> Result<(), E> {
        self.number(value.into()).ok_or_else(|| self.refused(&value.to_string()))
    }

    fn visit_u64<E: Error>(mut self, value: u64) -> Result<(), E> {
        self.number(value.into()).ok_or_else(|| self.refused(&value.to_string()))
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<(), E> {
        self.text(text).ok_or_else(|| self.refused(&format!("{text:?}")))
    }
}

impl Value<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        self.row.extend_from_slice(bytes);
        Some(())
    }

    /// Integers of up to 64 bits, and what is one in RowBinary.
    fn number(&mut self, value: i128) -> Option<()> {
        let (width, signed) = match self.kind {
            Type::UInt(width) => (usize::from(*width), false),
            Type::Int(width) => (usize::from(*width), true),
            Type::DateTime => (4, false),
            Type::DateTime64(_) => (8, true),
            Type::Enum8(_) => (1, true),
            Type::Enum16(_) => (2, true),
            Type::Bool if (0..=1).contains(&value) => (1, false),
            _ => return None,
        };
        let bits = 8 * width - usize::from(signed);
        let least = if signed { -(1i128 << bits) } else { 0 };
        let fits = (least..1i128 << bits).contains(&value);
        if fits { self.put(&value.to_le_bytes()[..width]) } else { None }
    }

    fn text(&mut self, text: &str) -> Option<()> {
        match self.kind {
            Type::String => {
                put_length(text.len(), self.row);
                self.put(text.as_bytes())
            }
            Type::FixedString(len) => {
                let padding = len.checked_sub(text.len()).filter(|padding| *padding <= DEFAULTS_BYTES_MAX)?;
                self.put(text.as_bytes())?;
                self.row.resize(self.row.len() + padding, 0);
                Some(())
            }
            Type::UInt(_) | Type::Int(_) => self.number(text.parse().ok()?),
            Type::Bool => self.put(&[u8::from(text.parse::<bool>().ok()?)]),
            Type::Uuid => {
                let is_plain = matches!(text.len(), 32 | 36);
                let (high, low) = uuid::Uuid::try_parse(text).ok().filter(|_| is_plain)?.as_u64_pair();
                self.put(&high.to_le_bytes())?;
                self.put(&low.to_le_bytes())
            }
            Type::Date => self.put(&u16::try_from(calendar::parse_date(text)?).ok()?.to_le_bytes()),
            Type::Date32 => self.put(&i32::try_from(calendar::parse_date(text)?).ok()?.to_le_bytes()),
            Type::DateTime => self.number(calendar::parse_date_time(text, 0)?.into()),
            Type::DateTime64(digits) => self.number(calendar::parse_date_time(text, *digits)?.into()),
            Type::Enum8(values) | Type::Enum16(values) => {
                let (_, value) = values.iter().find(|(name, _)| name == text)?;
                self.number((*value).into())
            }
            Type::Ipv4 => self.put(&u32::from(text.parse::<Ipv4Addr>().ok()?).to_le_bytes()),
            Type::Ipv6 => {
                let mapped = || text.parse::<Ipv4Addr>().ok().map(|address| address.to_ipv6_mapped());
                self.put(&text.parse::<Ipv6Addr>().ok().or_else(mapped)?.octets())
            }
            _ => None,
        }
    }

    /// What is read to its last digit.
    fn digits(&mut self, text: &str) -> Option<()> {
        match self.kind {
            Type::Float32 => self.put(&text.parse::<f32>().ok()?.to_le_bytes()),
            Type::Float64 => self.put(&text.parse::<f64>().ok()?.to_le_bytes()),
            Type::UInt(width) => self.put(&wide::parse_unsigned(text, *width)?[..usize::from(*width)]),
            Type::Int(width) => self.put(&wide::parse_signed(text, *width)?[..usize::from(*width)]),
            Type::Decimal(precision, scale) => {
                let width = Type::decimal_width(*precision);
                self.put(&wide::parse_signed(&wide::scaled(text, *scale)?, width)?[..usize::from(width)])
            }
            _ => None,
        }
    }

    /// With as much of the JSON as a person wants to see.
    fn refused<E: Error>(&self, text: &str) -> E {
        const SHOWN_BYTES_MAX: usize = 60;
        let shown = &text[..text.floor_char_boundary(SHOWN_BYTES_MAX)];
        let more = if shown.len() < text.len() { "…" } else { "" };
        E::custom(format!("{shown}{more} is no {}", self.kind))
    }
}

struct OrNull<'a> {
    inner: &'a Type,
    row: &'a mut Vec<u8>,
}

impl<'de> Visitor<'de> for OrNull<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "null or a value of {}", self.inner)
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.row.push(1);
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        self.row.push(0);
        Value { kind: self.inner, row: self.row }.deserialize(json)
    }
}

struct Elements<'a> {
    element: &'a Type,
    row: &'a mut Vec<u8>,
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of {}", self.element)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let begin = begin_counted(self.row);
        let mut count = 0;
        while elements.next_element_seed(Value { kind: self.element, row: self.row })?.is_some() {
            count += 1;
        }
        end_counted(begin, count, self.row);
        Ok(())
    }
}

struct Pairs<'a> {
    key: &'a Type,
    value: &'a Type,
    row: &'a mut Vec<u8>,
}

impl<'de> Visitor<'de> for Pairs<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object of {} by {}", self.value, self.key)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<(), A::Error> {
        let begin = begin_counted(self.row);
        let mut count = 0;
        while pairs.next_key_seed(Value { kind: self.key, row: self.row })?.is_some() {
            pairs.next_value_seed(Value { kind: self.value, row: self.row })?;
            count += 1;
        }
        end_counted(begin, count, self.row);
        Ok(())
    }
}

/// Leaves a byte for the number of elements, which is known at their end.
fn begin_counted(row: &mut Vec<u8>) -> usize {
    row.push(0);
    row.len()
}

fn end_counted(begin: usize, count: usize, row: &mut Vec<u8>) {
    if count < 0x80 {
        row[begin - 1] = count as u8;
    } else {
        let elements = row.split_off(begin);
        row.pop();
        put_length(count, row);
        row.extend_from_slice(&elements);
    }
}

/// LEB128.
fn put_length(mut length: usize, row: &mut Vec<u8>) {
    while length >= 0x80 {
        row.push(length as u8 | 0x80);
        length >>= 7;
    }
    row.push(length as u8);
}

/// The zero value of the type, as ClickHouse has it. The row began at `start`.
pub(super) fn put_default(kind: &Type, start: usize, row: &mut Vec<u8>) -> Result<(), String> {
    match kind {
        Type::Nullable(_) => row.push(1),
        Type::String | Type::Array(_) | Type::Map(..) => row.push(0),
        Type::Tuple(fields) => fields.iter().try_for_each(|(_, field)| put_default(field, start, row))?,
        Type::Enum8(values) | Type::Enum16(values) => {
            let least = values.iter().map(|(_, value)| *value).min().unwrap_or(0);
            row.extend_from_slice(&least.to_le_bytes()[..width(kind)]);
        }
        plain => {
            let end = row.len().saturating_add(width(plain));
            if end - start > DEFAULTS_BYTES_MAX {
                return Err(format!("columns that are left out take more than {} MiB", DEFAULTS_BYTES_MAX >> 20));
            }
            row.resize(end, 0);
        }
    }
    Ok(())
}
