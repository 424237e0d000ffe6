//! Tags: a dict, sorted by key; a few of them are also columns of their own.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use shared::entries::Entries;
use shared::python;

/// Key and value as text, sorted by key. Of a key that comes twice the last counts, even if it has no value.
#[derive(Debug, Default)]
pub struct Tags(Vec<(Cow<'static, str>, String)>);

impl Tags {
    /// What is stored: all that are not empty.
    pub fn stored(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.0.iter().map(|(key, value)| (&**key, value.as_str())).filter(|(_, value)| !value.is_empty())
    }

    /// The value of a tag, which may be empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(have, _)| have == key).map(|(_, value)| value.as_str())
    }
}

impl<'de> Deserialize<'de> for Tags {
    /// From an object or a list of pairs. Entries that are no pair, and pairs without a key, are dropped.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = match Value::deserialize(deserializer)? {
            Value::Object(dict) => dict.into_iter().map(|(key, value)| (key.into(), value)).collect(),
            Value::Array(list) => list.into_iter().filter_map(pair).collect(),
            _ => Vec::new(),
        };
        let entries = Entries::sorted(entries).0.into_iter();
        Ok(Self(entries.filter_map(|(key, value)| Some((key, python::text(&value)?.into_owned()))).collect()))
    }
}

fn pair(entry: Value) -> Option<(Cow<'static, str>, Value)> {
    let Value::Array(entry) = entry else { return None };
    let [key, value] = <[Value; 2]>::try_from(entry).ok()?;
    Some((python::text(&key)?.into_owned().into(), value))
}
