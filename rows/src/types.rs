//! ClickHouse types, as `DESCRIBE TABLE` prints them, reduced to what decides their bytes and their range.

use std::fmt;

/// A column type. `LowCardinality(T)` and `SimpleAggregateFunction(f, T)` are `T`: their bytes are the same.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// Width in bytes: 1, 2, 4, 8, 16 or 32.
    UInt(u8),
    Int(u8),
    Float32,
    Float64,
    Bool,
    String,
    FixedString(usize),
    Uuid,
    Date,
    Date32,
    DateTime,
    /// Digits after the second.
    DateTime64(u8),
    /// Precision and scale; stored as an integer of the width that the precision needs.
    Decimal(u8, u8),
    Enum8(Vec<(String, i16)>),
    Enum16(Vec<(String, i16)>),
    Ipv4,
    Ipv6,
    Nullable(Box<Type>),
    Array(Box<Type>),
    Map(Box<Type>, Box<Type>),
    /// With names, if the tuple has them.
    Tuple(Vec<(Option<String>, Type)>),
}

/// A type that cannot be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("column {column:?} has type {type_name:?}: {cause}")]
pub struct TypeError {
    pub column: String,
    pub type_name: String,
    pub cause: String,
}

/// Deeper nesting is refused, so that a walk cannot exhaust the stack.
const DEPTH_MAX: usize = 16;

impl Type {
    /// # Errors
    /// Says what is wrong with the text, or that the type is not supported.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: text, depth: 0 };
        let parsed = parser.type_name()?;
        match parser.rest.trim() {
            "" => Ok(parsed),
            rest => Err(format!("{rest:?} follows the type")),
        }
    }

    /// Bytes of an integer that holds a decimal of this precision.
    pub(crate) fn decimal_width(precision: u8) -> u8 {
        match precision {
            0..=9 => 4,
            10..=18 => 8,
            19..=38 => 16,
            _ => 32,
        }
    }

    /// Whether bytes of `self` are bytes of `table` with the same meaning.
    pub(crate) fn encodes_like(&self, table: &Type) -> bool {
        match (self, table) {
            (Type::Enum8(ours), Type::Enum8(theirs)) | (Type::Enum16(ours), Type::Enum16(theirs)) => {
                ours.iter().all(|value| theirs.contains(value))
            }
            (Type::Nullable(a), Type::Nullable(b)) | (Type::Array(a), Type::Array(b)) => a.encodes_like(b),
            (Type::Map(k, v), Type::Map(l, w)) => k.encodes_like(l) && v.encodes_like(w),
            (Type::Tuple(a), Type::Tuple(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|((_, a), (_, b))| a.encodes_like(b))
            }
            (Type::UInt(1), Type::Bool) => false,
            (a, b) => a == b,
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn type_name(&mut self) -> Result<Type, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("types may nest {DEPTH_MAX} deep"));
        }
        let name = self.word();
        let parsed = match name {
            "Nullable" => self.one().map(|inner| Type::Nullable(Box::new(inner))),
            "LowCardinality" => self.one(),
            "Array" => self.one().map(|inner| Type::Array(Box::new(inner))),
            "Map" => self.map(),
            "Tuple" => self.tuple(),
            "Nested" => self.tuple().map(|tuple| Type::Array(Box::new(tuple))),
            "SimpleAggregateFunction" => self.aggregate(),
            "FixedString" => self.number().map(Type::FixedString),
            "DateTime" => self.optional_text().map(|()| Type::DateTime),
            "DateTime64" => self.date_time_64(),
            "Decimal" => self.decimal(),
            "Decimal32" => self.number().map(|scale| Type::Decimal(9, scale as u8)),
            "Decimal64" => self.number().map(|scale| Type::Decimal(18, scale as u8)),
            "Decimal128" => self.number().map(|scale| Type::Decimal(38, scale as u8)),
            "Decimal256" => self.number().map(|scale| Type::Decimal(76, scale as u8)),
            "Enum8" => self.values().map(Type::Enum8),
            "Enum16" => self.values().map(Type::Enum16),
            plain => simple(plain),
        };
        self.depth -= 1;
        parsed
    }

    fn word(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn expect(&mut self, sign: char) -> Result<(), String> {
        if self.take(sign) { Ok(()) } else { Err(format!("{sign:?} expected at {:?}", self.rest)) }
    }

    fn take(&mut self, sign: char) -> bool {
        self.rest = self.rest.trim_start();
        let rest = self.rest.strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn one(&mut self) -> Result<Type, String> {
        self.expect('(')?;
        let inner = self.type_name()?;
        self.expect(')')?;
        Ok(inner)
    }

    fn map(&mut self) -> Result<Type, String> {
        self.expect('(')?;
        let key = self.type_name()?;
        self.expect(',')?;
        let value = self.type_name()?;
        self.expect(')')?;
        Ok(Type::Map(Box::new(key), Box::new(value)))
    }

    fn aggregate(&mut self) -> Result<Type, String> {
        self.expect('(')?;
        self.word();
        self.expect(',')?;
        let inner = self.type_name()?;
        self.expect(')')?;
        Ok(inner)
    }

    fn tuple(&mut self) -> Result<Type, String> {
        self.expect('(')?;
        let mut fields = Vec::new();
        loop {
            fields.push(self.field()?);
            if !self.take(',') {
                break;
            }
        }
        self.expect(')')?;
        Ok(Type::Tuple(fields))
    }

    /// A type, or a name and a type.
    fn field(&mut self) -> Result<(Option<String>, Type), String> {
        if self.take('`') {
            let end = self.rest.find('`').ok_or("a name without its closing backtick")?;
            let name = self.rest[..end].to_owned();
            self.rest = &self.rest[end + 1..];
            return Ok((Some(name), self.type_name()?));
        }
        let before = self.rest;
        let word = self.word();
        self.rest = self.rest.trim_start();
        if self.rest.starts_with(|c: char| c.is_alphabetic()) {
            return Ok((Some(word.to_owned()), self.type_name()?));
        }
        self.rest = before;
        Ok((None, self.type_name()?))
    }

    fn digits<T: std::str::FromStr>(&mut self) -> Result<T, String> {
        self.rest = self.rest.trim_start();
        let end = self.rest.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        digits.parse().map_err(|_| format!("a number expected instead of {digits:?}"))
    }

    fn number(&mut self) -> Result<usize, String> {
        self.expect('(')?;
        let number = self.digits()?;
        self.expect(')')?;
        Ok(number)
    }

    fn decimal(&mut self) -> Result<Type, String> {
        self.expect('(')?;
        let precision = self.digits()?;
        let scale = if self.take(',') { self.digits()? } else { 0 };
        self.expect(')')?;
        if !(1..=76).contains(&precision) || scale > precision {
            return Err(format!("there is no decimal of {precision} digits with {scale} after the point"));
        }
        Ok(Type::Decimal(precision, scale))
    }

    fn date_time_64(&mut self) -> Result<Type, String> {
        self.expect('(')?;
        let digits = self.digits()?;
        if self.take(',') {
            self.text()?;
        }
        self.expect(')')?;
        if digits > 9 { Err(format!("DateTime64 with {digits} digits")) } else { Ok(Type::DateTime64(digits)) }
    }

    fn optional_text(&mut self) -> Result<(), String> {
        if self.take('(') {
            self.text()?;
            self.expect(')')?;
        }
        Ok(())
    }

    /// A quoted text with backslash escapes.
    fn text(&mut self) -> Result<String, String> {
        self.expect('\'')?;
        let mut text = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\'' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, other)) => text.push(other),
                    None => break,
                },
                other => text.push(other),
            }
        }
        Err("a text without its closing quote".into())
    }

    fn values(&mut self) -> Result<Vec<(String, i16)>, String> {
        self.expect('(')?;
        let mut values = Vec::new();
        loop {
            let name = self.text()?;
            self.expect('=')?;
            values.push((name, self.digits()?));
            if !self.take(',') {
                break;
            }
        }
        self.expect(')')?;
        Ok(values)
    }
}

fn simple(name: &str) -> Result<Type, String> {
    Ok(match name {
        "UInt8" => Type::UInt(1),
        "UInt16" => Type::UInt(2),
        "UInt32" => Type::UInt(4),
        "UInt64" => Type::UInt(8),
        "UInt128" => Type::UInt(16),
        "UInt256" => Type::UInt(32),
        "Int8" => Type::Int(1),
        "Int16" => Type::Int(2),
        "Int32" => Type::Int(4),
        "Int64" => Type::Int(8),
        "Int128" => Type::Int(16),
        "Int256" => Type::Int(32),
        "Float32" => Type::Float32,
        "Float64" => Type::Float64,
        "Bool" | "Boolean" => Type::Bool,
        "String" => Type::String,
        "UUID" => Type::Uuid,
        "Date" => Type::Date,
        "Date32" => Type::Date32,
        "IPv4" => Type::Ipv4,
        "IPv6" => Type::Ipv6,
        "" => return Err("a type expected".into()),
        other => return Err(format!("type {other} is not supported")),
    })
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::UInt(width) => write!(f, "UInt{}", u32::from(*width) * 8),
            Type::Int(width) => write!(f, "Int{}", u32::from(*width) * 8),
            Type::FixedString(len) => write!(f, "FixedString({len})"),
            Type::DateTime64(digits) => write!(f, "DateTime64({digits})"),
            Type::Decimal(precision, scale) => write!(f, "Decimal({precision}, {scale})"),
            Type::Nullable(inner) => write!(f, "Nullable({inner})"),
            Type::Array(inner) => write!(f, "Array({inner})"),
            Type::Map(key, value) => write!(f, "Map({key}, {value})"),
            Type::Tuple(fields) => {
                let fields: Vec<_> = fields.iter().map(|(_, inner)| inner.to_string()).collect();
                write!(f, "Tuple({})", fields.join(", "))
            }
            Type::Enum8(values) => write!(f, "Enum8 of {} values", values.len()),
            Type::Enum16(values) => write!(f, "Enum16 of {} values", values.len()),
            Type::Uuid => f.write_str("UUID"),
            Type::Ipv4 => f.write_str("IPv4"),
            Type::Ipv6 => f.write_str("IPv6"),
            plain => write!(f, "{plain:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_describe_prints() {
        let parse = |text: &str| Type::parse(text).expect(text);
        assert_eq!(parse("LowCardinality(Nullable(String))"), Type::Nullable(Box::new(Type::String)));
        assert_eq!(parse("DateTime('Europe/Berlin')"), Type::DateTime);
        assert_eq!(parse("DateTime64(3, 'UTC')"), Type::DateTime64(3));
        assert_eq!(parse("Decimal(18, 4)"), Type::Decimal(18, 4));
        assert_eq!(parse("Enum8('it\\'s' = -1, 'b' = 2)"), Type::Enum8(vec![("it's".into(), -1), ("b".into(), 2)]));
        assert_eq!(
            parse("Nested(a UInt8, `b c` Array(IPv6))"),
            Type::Array(Box::new(Type::Tuple(vec![
                (Some("a".into()), Type::UInt(1)),
                (Some("b c".into()), Type::Array(Box::new(Type::Ipv6)))
            ])))
        );
        assert_eq!(parse("SimpleAggregateFunction(sum, UInt64)"), Type::UInt(8));
        assert_eq!(
            parse("Map(String, Array(Tuple(UInt8, Date)))").to_string(),
            "Map(String, Array(Tuple(UInt8, Date)))"
        );
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        for text in ["", "Stri", "Array(", "Array(String", "Decimal(77, 2)", "Enum8('a)", "JSON", "UInt8)", "Tuple()"] {
            assert!(Type::parse(text).is_err(), "{text:?} is no type");
        }
        assert!(Type::parse(&"Array(".repeat(100)).is_err());
    }
}
