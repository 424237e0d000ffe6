//! Optional numbers, for `#[serde(deserialize_with)]`: none for what is no number.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Any number.
pub fn any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Value::deserialize(deserializer).map(|value| value.as_f64())
}

/// A whole number from 0 to 2^64 - 1.
pub fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Value::deserialize(deserializer).map(|value| value.as_u64())
}
