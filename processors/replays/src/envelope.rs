//! What every message of the topic has around its event.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use shared::id;
use tidegate_processor::Uuid;

use crate::event::Event;

#[derive(serde::Deserialize)]
pub struct Envelope<'a> {
    pub project_id: u64,
    #[serde(deserialize_with = "id::required")]
    pub replay_id: Uuid,
    pub retention_days: u16,
    /// Seconds since 1970.
    pub start_time: f64,
    #[serde(borrow)]
    pub payload: Payload<'a>,
}

/// The event, or the bytes of its JSON as an array of numbers.
pub enum Payload<'a> {
    Object(Event<'a>),
    Bytes(Vec<u8>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Payload<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PayloadVisitor)
    }
}

struct PayloadVisitor;

impl<'de> Visitor<'de> for PayloadVisitor {
    type Value = Payload<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array of bytes")
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
        Event::deserialize(MapAccessDeserializer::new(entries)).map(Payload::Object)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = elements.next_element()? {
            bytes.push(byte);
        }
        Ok(Payload::Bytes(bytes))
    }
}
