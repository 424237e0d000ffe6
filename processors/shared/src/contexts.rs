//! Contexts: named objects, stored as pairs `name.key` and value.

use std::borrow::Cow;

use serde::Deserialize;
use tidegate_processor::{Parts, Uuid};

use crate::entries::Entries;
use crate::lenient::{Object, Scalar};

/// Contexts sorted by name, each with its scalars, sorted by key. What is no object has none.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Contexts<'a>(#[serde(borrow)] Entries<'a, Object<Entries<'a, Scalar<'a>>>>);

/// What `contexts.key` (`name.key`) and `contexts.value` hold.
pub type Stored<'a> = (Parts<'a, 3>, &'a str);

impl<'a> Contexts<'a> {
    /// Of contexts in any order; of equal names the last.
    pub fn sorted(contexts: Vec<(Cow<'a, str>, Object<Entries<'a, Scalar<'a>>>)>) -> Self {
        Self(Entries::sorted(contexts))
    }

    /// A value of a context, if it is a UUID.
    pub fn uuid(&self, name: &str, key: &str) -> Option<Uuid> {
        let Object(context) = self.0.get(name)?;
        context.get(key)?.0.as_deref().and_then(Uuid::parse)
    }

    /// A `geo` of the user takes the place of the context's.
    pub fn put_geo(&mut self, geo: Entries<'a, Scalar<'a>>) {
        if !geo.0.is_empty() {
            self.0.put("geo".into(), Object(geo));
        }
    }

    /// What is stored: all scalars but those called `type`.
    pub fn stored(&self) -> impl Iterator<Item = Stored<'_>> {
        self.0.0.iter().flat_map(|(name, Object(entries))| {
            let entries = entries.0.iter().filter(|(key, _)| key != "type");
            entries.filter_map(|(key, Scalar(value))| Some((Parts([&**name, ".", &**key]), value.as_deref()?)))
        })
    }
}
