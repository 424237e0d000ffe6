//! Contexts: most become pairs `name.key` and value, a few have columns of their own.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use shared::contexts::Pairs;
use shared::entries::{Entries, Key};
use shared::lenient::{Flag, Lenient, List, Object, Scalar, Str, Text};
use tidegate_processor::Uuid;

/// `data.contexts`, taken apart while it is read.
#[derive(Debug, Default)]
pub struct Contexts<'a> {
    /// All but `flags`, `replay` and `trace`, sorted by name.
    plain: shared::contexts::Contexts<'a>,
    pub trace: Trace<'a>,
    pub replay: Replay<'a>,
    pub flags: Flags<'a>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Trace<'a> {
    #[serde(borrow)]
    pub trace_id: Str<'a>,
    #[serde(borrow)]
    pub span_id: Str<'a>,
    #[serde(borrow)]
    pub parent_span_id: Str<'a>,
    pub sampled: Flag,
    #[serde(borrow)]
    pub client_sample_rate: Scalar<'a>,
    #[serde(borrow)]
    pub op: Scalar<'a>,
    #[serde(borrow)]
    pub status: Scalar<'a>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Replay<'a> {
    #[serde(borrow)]
    pub replay_id: Str<'a>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Flags<'a> {
    #[serde(borrow)]
    values: List<Object<FlagValue<'a>>>,
}

#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
struct FlagValue<'a> {
    #[serde(borrow)]
    flag: Text<'a>,
    #[serde(borrow)]
    result: Text<'a>,
}

impl<'a> Contexts<'a> {
    /// What is stored in `contexts.key` and `contexts.value`. A `geo` of the user takes the place of the context's.
    pub fn pairs(&mut self, user_geo: Entries<'a, Scalar<'a>>) -> Pairs<'a> {
        let mut pairs = std::mem::take(&mut self.plain).into_pairs(user_geo);
        pairs.extend(self.trace.pairs());
        pairs
    }
}

impl<'a> Trace<'a> {
    pub fn uuid(&self) -> Option<Uuid> {
        self.trace_id.0.as_deref().and_then(Uuid::parse)
    }

    /// 16 hexadecimal digits as a number.
    pub fn span(&self) -> Option<u64> {
        self.span_id.0.as_deref().and_then(|id| u64::from_str_radix(id, 16).ok())
    }

    fn pairs(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        let trace_id = self.uuid().map(|id| id.simple().into());
        [
            ("trace.client_sample_rate", self.client_sample_rate.0.clone()),
            ("trace.op", self.op.0.clone()),
            ("trace.span_id", self.span_id.0.clone()),
            ("trace.status", self.status.0.clone()),
            ("trace.trace_id", trace_id),
            ("trace.parent_span_id", self.parent_span_id.0.clone()),
        ]
        .into_iter()
        .filter_map(|(key, value)| value.map(|value| (key.into(), value)))
    }
}

impl Replay<'_> {
    pub fn uuid(&self) -> Option<Uuid> {
        self.replay_id.0.as_deref().and_then(Uuid::parse)
    }
}

impl<'a> Flags<'a> {
    /// Those with a name and a result, in their order.
    pub fn pairs(&mut self) -> Pairs<'a> {
        let values = std::mem::take(&mut self.values.0);
        values.into_iter().filter_map(|Object(value)| value.flag.0.zip(value.result.0)).collect()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Contexts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ContextsVisitor)
    }
}

struct ContextsVisitor;

impl<'de> Visitor<'de> for ContextsVisitor {
    type Value = Contexts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of contexts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut contexts = Contexts::default();
        let mut plain = Vec::new();
        while let Some(Key(name)) = map.next_key()? {
            match &*name {
                "trace" => contexts.trace = map.next_value_seed(Lenient::new())?,
                "replay" => contexts.replay = map.next_value_seed(Lenient::new())?,
                "flags" => contexts.flags = map.next_value_seed(Lenient::new())?,
                _ => plain.push((name, map.next_value()?)),
            }
        }
        contexts.plain = shared::contexts::Contexts::sorted(plain);
        Ok(contexts)
    }
}
