//! What a pipeline takes of its topic: messages selected by their headers, and the schema they are checked against.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::scalar::fill_in;
use super::{Ratio, Text};
use crate::select;

/// Which messages are read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Select {
    /// Header → value, or list of values; a message without the header is not read.
    #[schemars(with = "BTreeMap<String, Values>")]
    pub header: Spanned<BTreeMap<Text, Values>>,
}

/// One value, or several of which one must be met.
#[derive(Debug, PartialEq)]
pub struct Values(pub Vec<String>);

/// A JSON Schema for payloads.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// A relative path starts at the configuration file.
    #[schemars(with = "String")]
    pub file: Spanned<Text>,
    /// Share of the messages that are checked, 0 to 1.
    #[serde(default = "Ratio::all")]
    pub sample: Ratio,
    /// Whether messages that do not follow the schema are dead letters, rather than only counted.
    #[serde(default)]
    pub enforce: bool,
}

impl Select {
    pub(crate) fn rules(&self) -> select::Select {
        select::Select::new(self.header.value.iter().map(|(name, values)| (name.0.clone(), values.0.clone())))
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // What follows the semicolon is shown as the way out.
                f.write_str("a text; put it in quotes, or write a list of texts")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Values, E> {
                let filled = fill_in(text, |name| std::env::var(name).ok());
                filled.map(|text| Values(vec![text])).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Values, A::Error> {
                let mut values = Vec::new();
                while let Some(Text(value)) = list.next_element()? {
                    values.push(value);
                }
                Ok(Values(values))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

impl JsonSchema for Values {
    fn schema_name() -> Cow<'static, str> {
        "Values".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
    }
}
