//! UUIDs as fields of JSON, for `#[serde(deserialize_with)]`, and for what should have come with one.

use serde::de::{Deserialize, Deserializer, Error};
use tidegate_processor::{Message, Uuid};

use crate::lenient::{List, Str};
use crate::uuid;

/// A UUID, with or without dashes.
pub fn required<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    optional(deserializer)?.ok_or_else(|| D::Error::custom("not a UUID"))
}

/// None for anything else.
pub fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Uuid>, D::Error> {
    Str::deserialize(deserializer).map(|text| parse(&text))
}

/// The UUIDs of a list; anything else in it is dropped.
pub fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Uuid>, D::Error> {
    List::deserialize(deserializer).map(|List(texts)| texts.iter().filter_map(parse).collect())
}

/// For what came without an id: the same whenever the message is processed, and another one for every other message.
pub fn of_message(message: &Message<'_>) -> Uuid {
    uuid::md5(format!("{}/{}/{}", message.topic(), message.partition(), message.offset()).as_bytes())
}

fn parse(Str(text): &Str<'_>) -> Option<Uuid> {
    text.as_deref().and_then(Uuid::parse)
}
