//! Scalars: text with variables filled in, and numbers with their units.

use std::borrow::Cow;
use std::fmt;
use std::time;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

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

/// A secret by reference. Never printed.
#[derive(Clone, Default, PartialEq)]
pub struct Secret(pub String);

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

    pub(super) fn drain() -> Self {
        Self::seconds(30)
    }

    pub(super) fn heartbeat() -> Self {
        Self::seconds(10)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        scalar(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = scalar(deserializer)?;
        let digits = text.replace('_', "");
        digits
            .parse()
            .map(Self)
            .map_err(|_| D::Error::custom(format!("{text:?} is not a whole number; write digits only")))
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = scalar(deserializer)?;
        let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        ratio
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("{text:?} is not a share; write a number between 0 and 1")))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        with_unit(&scalar(deserializer)?, SIZES, "a size", "64MiB, 512KiB or 1GiB").map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = scalar(deserializer)?;
        let micros = with_unit(&text, TIMES, "a duration", "500ms, 2s or 5m").map_err(D::Error::custom)?;
        Ok(Self(time::Duration::from_micros(micros)))
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "lowercase", deny_unknown_fields)]
        enum Reference {
            Env(Text),
            File(Text),
        }
        let reference = Reference::deserialize(deserializer).map_err(|error| {
            let text = error.to_string();
            let what = text.split(['`', '"', '\'']).next().unwrap_or_default().trim();
            D::Error::custom(format!(
                "a secret is not written here ({what}); refer to it: {{env: NAME}} or {{file: PATH}}"
            ))
        })?;
        match reference {
            Reference::Env(Text(name)) => std::env::var(&name)
                .map(Self)
                .map_err(|_| D::Error::custom(format!("the secret's variable {name:?} is not set; set it"))),
            Reference::File(Text(path)) => std::fs::read_to_string(&path)
                .map(|text| Self(text.trim_end_matches(['\r', '\n']).to_owned()))
                .map_err(|error| D::Error::custom(format!("the secret's file {path:?}: {error}"))),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Any scalar as text, with variables filled in.
fn scalar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Scalar;
    impl Visitor<'_> for Scalar {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a number")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
            fill_in(text, |name| std::env::var(name).ok()).map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Scalar)
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
    Secret, {
        "type": "object",
        "description": "a secret by reference",
        "properties": { "env": { "type": "string" }, "file": { "type": "string" } },
        "additionalProperties": false
    };
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
