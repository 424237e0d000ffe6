//! Objects whose keys are not known beforehand.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// An object's entries, sorted by key; of equal keys the last.
#[derive(Clone, Debug, PartialEq)]
pub struct Entries<'a, T>(pub Vec<(Cow<'a, str>, T)>);

impl<T> Default for Entries<'_, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'a, T> Entries<'a, T> {
    /// Of entries in any order.
    pub fn sorted(mut entries: Vec<(Cow<'a, str>, T)>) -> Self {
        // Stable, and turned round: of equal keys the last comes first, and the others go.
        entries.reverse();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        entries.dedup_by(|(later, _), (first, _)| later == first);
        Self(entries)
    }

    pub fn get(&self, key: &str) -> Option<&T> {
        let at = self.0.binary_search_by(|(have, _)| (**have).cmp(key)).ok()?;
        Some(&self.0[at].1)
    }

    /// Puts an entry in, or in the place of the one with this key.
    pub fn put(&mut self, key: Cow<'a, str>, value: T) {
        match self.0.binary_search_by(|(have, _)| have.cmp(&key)) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (key, value)),
        }
    }
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Entries<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor(std::marker::PhantomData))
    }
}

struct EntriesVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
    type Value = Entries<'de, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(Key(key)) = map.next_key()? {
            entries.push((key, map.next_value()?));
        }
        Ok(Entries::sorted(entries))
    }
}

/// A key, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
pub struct Key<'a>(#[serde(borrow)] pub Cow<'a, str>);
