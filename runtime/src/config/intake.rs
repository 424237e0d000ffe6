//! What a pipeline takes of its topic: messages selected by their keys and headers, and the schema they are checked against.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::scalar::fill_in;
use super::{Pipeline, Ratio, Text};
use crate::select::{self, Rule};

/// Which messages are read: those for which all that is said here holds.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Select {
    /// Header → value, or list of values; a message without the header is not read.
    #[schemars(with = "BTreeMap<String, Values>")]
    pub header: BTreeMap<Text, Values>,
    /// Key, or list of keys.
    pub key: Option<Values>,
    /// What the key begins with, or a list of that.
    pub key_prefix: Option<Values>,
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

impl Pipeline {
    /// What is read of the topic; none: everything.
    pub fn selection(&self) -> Option<select::Select> {
        let mut rules = self.select.as_ref().map(|select| select.value.rules()).unwrap_or_default();
        rules.extend(self.slice.as_ref().and_then(|slice| slice.value.rule()));
        (!rules.is_empty()).then(|| select::Select::new(rules))
    }
}

impl Select {
    pub(super) fn rules(&self) -> Vec<Rule> {
        let header = |(name, values): (&Text, &Values)| Rule::Header { name: name.0.clone(), values: values.bytes() };
        let key = self.key.as_ref().map(|keys| Rule::Key(keys.bytes()));
        let prefix = self.key_prefix.as_ref().map(|prefixes| Rule::KeyPrefix(prefixes.bytes()));
        self.header.iter().map(header).chain(key).chain(prefix).collect()
    }

    /// Whether there is a rule that no message follows, or none at all.
    pub(super) fn is_empty(&self) -> bool {
        let mut all = self.header.values().chain(&self.key).chain(&self.key_prefix).peekable();
        all.peek().is_none() || all.any(|values| values.0.is_empty())
    }
}

impl Values {
    fn bytes(&self) -> Vec<Vec<u8>> {
        self.0.iter().map(|value| value.as_bytes().to_vec()).collect()
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
