//! Scalars: text with variables filled in, and numbers with their units.

use std::borrow::Cow;
use std::cell::RefCell;
use std::path::Path;
use std::time;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer};
use serde_saphyr::{Location, Spanned};
use tidegate_client::Consistency;

use super::error::hint;
use super::{Property, Reference};
use crate::module_source::ModuleSource;
use crate::processor::CompileLimits;

/// Text in which `${NAME}` and `${NAME:-default}` stand for variables of the environment. `$$` is a dollar sign.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(pub String);

/// A whole number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Count(pub u64);

/// A share, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio(pub f64);

/// Bytes, with a unit: `64MiB`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size(pub u64);

/// A time, with a unit: `500ms`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Duration(pub time::Duration);

/// A consistency profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Profile(pub Consistency);

const SIZES: &[(&str, u64)] = &[
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];
const TIMES: &[(&str, u64)] = &[("ms", 1_000), ("us", 1), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000)];

impl Text {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn default_word() -> Self {
        Self("default".into())
    }
}

impl Size {
    pub(super) fn memory() -> Self {
        Self(64 << 20)
    }

    pub(super) fn compile() -> Self {
        Self(CompileLimits::default().memory_bytes_max)
    }

    pub(super) fn read_ahead() -> Self {
        Self(32 << 20)
    }
}

impl Ratio {
    pub(super) fn all() -> Self {
        Self(1.0)
    }
}

impl Duration {
    pub(super) const fn seconds(seconds: u64) -> Self {
        Self(time::Duration::from_secs(seconds))
    }

    pub(super) fn minute() -> Self {
        Self::seconds(65)
    }

    pub(super) fn base() -> Self {
        Self(time::Duration::from_millis(100))
    }

    pub(super) fn per_message() -> Self {
        Self(time::Duration::from_millis(5))
    }

    pub(super) fn compile() -> Self {
        Self(CompileLimits::default().time_max)
    }

    pub(super) fn drain() -> Self {
        Self::seconds(30)
    }

    pub(super) fn rewrite() -> Self {
        Self::seconds(600)
    }

    pub(super) fn heartbeat() -> Self {
        Self::seconds(10)
    }
}

/// A default, which is not in the file.
pub(super) fn nowhere<T>(value: T) -> Spanned<T> {
    Spanned::new(value, Location::UNKNOWN, Location::UNKNOWN)
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, Self::default(), |text| Ok(Self(text.to_owned())))
    }
}

/// A relative path starts at nothing yet.
impl<'de> Deserialize<'de> for ModuleSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, Self::nowhere(), |text| Self::parse(text, Path::new("")))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, Self(1), |text| {
            let count = text.replace('_', "").parse();
            count.map(Self).map_err(|_| format!("{text:?} is not a whole number; write digits only"))
        })
    }
}

impl<'de> Deserialize<'de> for Profile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, Self::default(), |text| {
            let known = Consistency::ALL.map(Consistency::name);
            let found = text.parse().map(Self);
            found.map_err(|_| format!("there is no consistency {text:?}; {}", hint(text, &known, "profiles")))
        })
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, Self(1.0), |text| {
            let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
            ratio.map(Self).ok_or_else(|| format!("{text:?} is not a share; write a number between 0 and 1"))
        })
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let size = |text: &str| with_unit(text, SIZES, "a size", "64MiB, 512KiB or 1GiB").map(Self);
        read(deserializer, Self(1), size)
    }
}

impl std::str::FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let micros = with_unit(text, TIMES, "a duration", "500ms, 2s or 5m")?;
        Ok(Self(time::Duration::from_micros(micros)))
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, Self::seconds(1), str::parse)
    }
}

thread_local! {
    /// Values that could not be read, while a configuration is parsed: serde has room for one error, and stops there.
    static PROBLEMS: RefCell<Vec<(Location, String)>> = const { RefCell::new(Vec::new()) };
}

/// To be called before a configuration is parsed.
pub(super) fn begin() {
    PROBLEMS.take();
}

/// The values that could not be read since [`begin`].
pub(super) fn problems() -> Vec<(Location, String)> {
    PROBLEMS.take()
}

/// Any scalar, with variables filled in. One that cannot be read is remembered, and `stand_in` goes on in its place.
fn read<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    stand_in: T,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<T, D::Error> {
    let scalar = Spanned::<String>::deserialize(deserializer)?;
    let filled_in = fill_in(&scalar.value, |name| std::env::var(name).ok());
    Ok(filled_in.and_then(|text| read(&text)).unwrap_or_else(|problem| {
        PROBLEMS.with_borrow_mut(|problems| problems.push((scalar.referenced, problem)));
        stand_in
    }))
}

/// Replaces variables.
pub(super) fn fill_in(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('$') {
        filled.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            filled.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let end = after.find('}').ok_or_else(|| format!("${{ without }} in {text:?}"))?;
            let (name, default) = match after[..end].split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (&after[..end], None),
            };
            let value = variable(name).filter(|value| default.is_none() || !value.is_empty());
            let value = value.or(default.map(str::to_owned));
            filled.push_str(
                &value.ok_or_else(|| {
                    format!("variable {name:?} is not set; set it, or give a default: ${{{name}:-…}}")
                })?,
            );
            rest = &after[end + 1..];
        } else {
            filled.push('$');
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

fn with_unit(text: &str, units: &[(&str, u64)], what: &str, example: &str) -> Result<u64, String> {
    let found = units.iter().find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, factor)));
    let Some((number, factor)) = found else {
        return Err(format!("{text:?} is not {what} with its unit; write {example}"));
    };
    let value: Option<f64> = number.trim().parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0);
    value.map(|value| (value * *factor as f64) as u64).ok_or_else(|| format!("{text:?} is not {what}; write {example}"))
}

impl JsonSchema for Profile {
    fn schema_name() -> Cow<'static, str> {
        "Consistency".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": Consistency::ALL.map(Consistency::name) })
    }
}

macro_rules! schema {
    ($($kind:ident, $schema:tt;)*) => {
        $(impl JsonSchema for $kind {
            fn schema_name() -> Cow<'static, str> {
                stringify!($kind).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        })*
    };
}

schema! {
    Text, { "type": ["string", "number"], "description": "text; ${NAME} and ${NAME:-default} are filled in" };
    Count, { "type": ["integer", "string"], "minimum": 0 };
    Ratio, { "type": ["number", "string"], "minimum": 0, "maximum": 1 };
    Size, { "type": "string", "description": "bytes with a unit", "examples": ["64MiB", "512KiB"] };
    Duration, { "type": "string", "description": "a time with a unit", "examples": ["2s", "500ms"] };
    Reference, {
        "type": "object",
        "description": "a secret by reference",
        "properties": { "env": { "type": "string" }, "file": { "type": "string" } },
        "additionalProperties": false
    };
    Property, { "type": ["string", "number", "boolean", "object"], "description": "a value, or a secret by reference" };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in() {
        let variable = |name: &str| (name == "HOST").then(|| "kafka".to_owned());
        assert_eq!(fill_in("${HOST}:9092", variable), Ok("kafka:9092".into()));
        assert_eq!(fill_in("${NONE:-x}$$y $z", variable), Ok("x$y $z".into()));
        assert!(fill_in("${NONE}", variable).unwrap_err().contains("\"NONE\" is not set"));
        assert!(fill_in("${HOST", variable).is_err());
    }

    #[test]
    fn units_are_required() {
        assert_eq!(with_unit("1.5MiB", SIZES, "a size", "1MiB"), Ok(3 << 19));
        assert_eq!(with_unit("500ms", TIMES, "a duration", "1s"), Ok(500_000));
        assert!(with_unit("500", TIMES, "a duration", "1s").is_err());
        assert!(with_unit("-1s", TIMES, "a duration", "1s").is_err());
    }
}
