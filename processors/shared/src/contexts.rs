//! Contexts: named objects, stored as pairs `name.key` and value.

use std::borrow::Cow;

use serde::Deserialize;
use tidegate_processor::Uuid;

use crate::entries::Entries;
use crate::lenient::{Object, Scalar};

/// Contexts sorted by name, each with its scalars, sorted by key. What is no object has none.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Contexts<'a>(#[serde(borrow)] Entries<'a, Object<Entries<'a, Scalar<'a>>>>);

/// Keys and values of a `Nested(key, value)`.
pub type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

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

    /// What is stored: all scalars but those called `type`. A `geo` of the user takes the place of the context's.
    pub fn into_pairs(mut self, user_geo: Entries<'a, Scalar<'a>>) -> Pairs<'a> {
        if !user_geo.0.is_empty() {
            self.0.put("geo".into(), Object(user_geo));
        }
        let mut pairs = Vec::new();
        for (name, Object(Entries(entries))) in self.0.0 {
            for (key, Scalar(value)) in entries.into_iter().filter(|(key, _)| key != "type") {
                pairs.extend(value.map(|value| (Cow::Owned(format!("{name}.{key}")), value)));
            }
        }
        pairs
    }
}
