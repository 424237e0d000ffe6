//! One walk over the bytes of one row. Lengths and flags are checked before use; what the bytes mean is left to a
//! [`Visitor`].

use crate::layout::{Column, Layout};
use crate::types::Type;

/// Sees the values of a row in order. A value may be refused.
///
/// Every method has an empty default, so that a visitor says only what it cares for.
pub trait Visitor {
    fn column(&mut self, _column: &Column) {}
    /// A value of a type without inner types; `bytes` has its exact width (for strings: the content).
    fn value(&mut self, _kind: &Type, _bytes: &[u8]) -> Result<(), Reject> {
        Ok(())
    }
    fn null(&mut self) {}
    /// `Array`, `Map` or `Tuple`, with the number of elements (pairs of a map).
    fn begin(&mut self, _kind: &Type, _len: usize) {}
    fn end(&mut self, _kind: &Type) {}
}

/// Why bytes are not a value of their type.
#[derive(Clone, Debug, PartialEq)]
pub struct Reject(pub String);

/// Why bytes are not a row.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}byte {at} of the row: {cause}", place(.column))]
pub struct RowError {
    /// Empty if it is not known.
    pub column: String,
    /// Offset in the row where the column begins; in a row of JSON, where the fault is.
    pub at: usize,
    pub cause: String,
}

fn place(column: &str) -> String {
    if column.is_empty() { String::new() } else { format!("column {column:?}, ") }
}

/// Walks `row`, which must be exactly one row.
///
/// # Errors
/// At the first column whose bytes are not a value of its type; at the last one if bytes remain.
pub fn walk(layout: &Layout, row: &[u8], visitor: &mut impl Visitor) -> Result<(), RowError> {
    let mut cursor = Cursor { rest: row };
    let mut lengths: Vec<Option<usize>> = vec![None; layout.nested()];
    for column in layout.columns() {
        let at = row.len() - cursor.rest.len();
        let error = |cause: String| RowError { column: column.name.clone(), at, cause };
        visitor.column(column);
        let length = cursor.value(&column.kind, visitor).map_err(|Reject(cause)| error(cause))?;
        if let Some(group) = column.nested {
            match lengths[group] {
                Some(other) if other != length => {
                    return Err(error(format!("{length} elements, another column of the Nested has {other}")));
                }
                _ => lengths[group] = Some(length),
            }
        }
    }
    match cursor.rest.len() {
        0 => Ok(()),
        more => Err(RowError {
            column: layout.columns().last().map(|column| column.name.clone()).unwrap_or_default(),
            at: row.len() - more,
            cause: format!("{more} bytes follow the row"),
        }),
    }
}

/// Refuses what is not a row, and what ClickHouse would take although it is none: a null flag or a Bool above 1, an
/// enum value that is not declared, a decimal beyond its precision, dates beyond their range, a Nested with arrays of
/// unequal lengths.
///
/// # Errors
/// See [`RowError`].
pub fn validate(layout: &Layout, row: &[u8]) -> Result<(), RowError> {
    walk(layout, row, &mut Validate)
}

struct Validate;

impl Visitor for Validate {
    #[inline]
    fn value(&mut self, kind: &Type, bytes: &[u8]) -> Result<(), Reject> {
        check(kind, bytes)
    }
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], Reject> {
        match self.rest.split_at_checked(len) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(self.too_short(len)),
        }
    }

    #[cold]
    fn too_short(&self, len: usize) -> Reject {
        Reject(format!("{len} bytes expected, {} are left", self.rest.len()))
    }

    /// A length, LEB128.
    #[inline]
    fn length(&mut self) -> Result<usize, Reject> {
        match self.rest {
            [short @ ..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(usize::from(*short))
            }
            _ => self.long_length(),
        }
    }

    #[cold]
    fn long_length(&mut self) -> Result<usize, Reject> {
        let mut length = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            length |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return usize::try_from(length).map_err(|_| Reject(format!("a length of {length}")));
            }
        }
        Err(Reject("a length of more than 9 bytes".into()))
    }

    /// A number of elements, of which each has a byte at least.
    fn count(&mut self, element: &Type) -> Result<usize, Reject> {
        let count = self.length()?;
        let smallest = smallest(element);
        if count.saturating_mul(smallest) > self.rest.len() {
            return Err(Reject(format!("{count} elements announced, {} bytes are left", self.rest.len())));
        }
        Ok(count)
    }

    /// Walks a value; the answer is its length where it is an array.
    fn value(&mut self, kind: &Type, visitor: &mut impl Visitor) -> Result<usize, Reject> {
        match kind {
            Type::String => {
                let length = self.length()?;
                visitor.value(kind, self.take(length)?)?;
            }
            Type::Nullable(inner) => match self.take(1)?[0] {
                0 => return self.value(inner, visitor),
                1 => visitor.null(),
                flag => return Err(Reject(format!("null flag {flag}"))),
            },
            Type::Array(inner) => {
                let count = self.count(inner)?;
                visitor.begin(kind, count);
                for _ in 0..count {
                    self.value(inner, visitor)?;
                }
                visitor.end(kind);
                return Ok(count);
            }
            Type::Map(key, value) => {
                let count = self.count(key)?;
                visitor.begin(kind, count);
                for _ in 0..count {
                    self.value(key, visitor)?;
                    self.value(value, visitor)?;
                }
                visitor.end(kind);
            }
            Type::Tuple(fields) => {
                visitor.begin(kind, fields.len());
                for (_, field) in fields {
                    self.value(field, visitor)?;
                }
                visitor.end(kind);
            }
            plain => visitor.value(plain, self.take(width(plain))?)?,
        }
        Ok(0)
    }
}

/// Bytes of a type of fixed width; 0 for the others.
#[inline]
pub(crate) fn width(kind: &Type) -> usize {
    match kind {
        Type::UInt(width) | Type::Int(width) => usize::from(*width),
        Type::Bool | Type::Enum8(_) => 1,
        Type::Date | Type::Enum16(_) => 2,
        Type::Float32 | Type::DateTime | Type::Date32 | Type::Ipv4 => 4,
        Type::Float64 | Type::DateTime64(_) => 8,
        Type::Uuid | Type::Ipv6 => 16,
        Type::FixedString(len) => *len,
        Type::Decimal(precision, _) => usize::from(Type::decimal_width(*precision)),
        Type::String | Type::Nullable(_) | Type::Array(_) | Type::Map(..) | Type::Tuple(_) => 0,
    }
}

/// Bytes that a value has at least; never 0, so that a count cannot make a walk endless.
fn smallest(kind: &Type) -> usize {
    width(kind).max(1)
}

/// 1900-01-01 and 2299-12-31, days since 1970.
const DATE32_DAYS: std::ops::RangeInclusive<i32> = -25567..=120_529;
/// 1900-01-01 00:00:00 and 2299-12-31 23:59:59, seconds since 1970.
const DATE_TIME_64_SECONDS: std::ops::RangeInclusive<i64> = -2_208_988_800..=10_413_791_999;

/// Refuses what ClickHouse would take.
#[inline]
fn check(kind: &Type, bytes: &[u8]) -> Result<(), Reject> {
    let reject = |text: String| Err(Reject(text));
    match kind {
        Type::Bool if bytes[0] > 1 => reject(format!("{} for a Bool", bytes[0])),
        Type::Enum8(values) => declared(values, i16::from(bytes[0] as i8)),
        Type::Enum16(values) => declared(values, i16::from_le_bytes([bytes[0], bytes[1]])),
        Type::Date32 => match i32::from_le_bytes(array(bytes)) {
            days if DATE32_DAYS.contains(&days) => Ok(()),
            days => reject(format!("day {days} is outside of 1900 to 2299")),
        },
        Type::DateTime64(digits) => {
            let ticks = i64::from_le_bytes(array(bytes));
            let seconds = ticks.div_euclid(10i64.pow(u32::from(*digits)));
            if DATE_TIME_64_SECONDS.contains(&seconds) {
                Ok(())
            } else {
                reject(format!("second {seconds} is outside of 1900 to 2299"))
            }
        }
        Type::Decimal(precision, _) if !crate::wide::fits_decimal(bytes, *precision) => {
            reject(format!("{} has more than {precision} digits", crate::wide::signed(bytes)))
        }
        _ => Ok(()),
    }
}

fn declared(values: &[(String, i16)], value: i16) -> Result<(), Reject> {
    if values.iter().any(|(_, have)| *have == value) {
        Ok(())
    } else {
        Err(Reject(format!("enum value {value} is not declared")))
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the walk hands over the exact width")
}
