//! Tags: sorted, stored as pairs, and a few of them promoted to columns of their own.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

use crate::lenient::{List, Pair};

/// Pairs with key and value, sorted by both, bytewise. Duplicates stay.
#[derive(Debug, Default)]
pub struct Tags<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl Tags<'_> {
    pub fn keys(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.iter().map(|(key, _)| &**key)
    }

    pub fn values(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.iter().map(|(_, value)| &**value)
    }

    /// The value of a tag; of several, the last in order.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(have, _)| have == key).map(|(_, value)| &**value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Tags<'a> {
    /// From a list of pairs. Entries that are no pair, and pairs without a key or a value, are dropped.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let List(entries) = List::<Pair<'a>>::deserialize(deserializer)?;
        let mut pairs: Vec<_> = entries.into_iter().filter_map(|Pair(pair)| pair).collect();
        pairs.sort_unstable();
        Ok(Self(pairs))
    }
}
