//! Null where a value may be left out: it counts as left out. A value of a wrong type stays an error.

use serde::{Deserialize, Deserializer};

/// A value, or its default for null.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OrDefault<T>(pub T);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for OrDefault<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|value| Self(value.unwrap_or_default()))
    }
}
