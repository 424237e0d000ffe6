//! Contexts: most become pairs `name.key` and value, a few have columns of their own.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use shared::contexts::Stored;
use shared::entries::{Entries, Key};
use shared::lenient::{Flag, Lenient, List, Object, Scalar, Str, Text};
use tidegate_processor::{Parts, Uuid};

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
    /// A `geo` of the user takes the place of the context's.
    pub fn put_geo(&mut self, geo: Entries<'a, Scalar<'a>>) {
        self.plain.put_geo(geo);
    }

    /// What is stored of all contexts; `trace_id` is that of the trace, as text.
    pub fn stored<'b>(&'b self, trace_id: Option<&'b str>) -> Vec<Stored<'b>> {
        self.plain.stored().chain(self.trace.stored(trace_id)).collect()
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

    fn stored<'b>(&'b self, trace_id: Option<&'b str>) -> impl Iterator<Item = Stored<'b>> {
        let values = [
            ("client_sample_rate", self.client_sample_rate.0.as_deref()),
            ("op", self.op.0.as_deref()),
            ("span_id", self.span_id.0.as_deref()),
            ("status", self.status.0.as_deref()),
            ("trace_id", trace_id),
            ("parent_span_id", self.parent_span_id.0.as_deref()),
        ];
        values.into_iter().filter_map(|(key, value)| Some((Parts(["trace", ".", key]), value?)))
    }
}

impl Replay<'_> {
    pub fn uuid(&self) -> Option<Uuid> {
        self.replay_id.0.as_deref().and_then(Uuid::parse)
    }
}

impl<'a> Flags<'a> {
    /// Those with a name and a result, in their order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.values.0.iter().filter_map(|Object(value)| value.flag.get().zip(value.result.get()))
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
