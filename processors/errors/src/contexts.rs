//! Contexts: most become pairs `name.key` and value, a few have columns of their own.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use tidegate_processor::Uuid;

use crate::event::object;
use crate::lenient::{Flag, List, Object, Scalar, Str, Text};

/// `data.contexts`, taken apart while it is read.
#[derive(Debug, Default)]
pub struct Contexts<'a> {
    /// All but `flags`, `replay` and `trace`, sorted by name.
    plain: Entries<'a, Object<Entries<'a, Scalar<'a>>>>,
    pub trace: Trace<'a>,
    pub replay: Replay<'a>,
    pub flags: Flags<'a>,
}

/// An object's entries, sorted by key; of equal keys the last.
#[derive(Clone, Debug, PartialEq)]
pub struct Entries<'a, T>(pub Vec<(Cow<'a, str>, T)>);

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

/// Pairs of a `Nested(key, value)`.
pub type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

impl<'a> Contexts<'a> {
    /// What is stored in `contexts.key` and `contexts.value`. A `geo` of the user takes the place of the context's.
    pub fn pairs(&mut self, user_geo: Entries<'a, Scalar<'a>>) -> Pairs<'a> {
        if !user_geo.0.is_empty() {
            self.plain.put("geo".into(), Object(user_geo));
        }
        let mut pairs = Vec::new();
        for (name, Object(Entries(entries))) in std::mem::take(&mut self.plain.0) {
            for (key, Scalar(value)) in entries.into_iter().filter(|(key, _)| key != "type") {
                pairs.extend(value.map(|value| (Cow::Owned(format!("{name}.{key}")), value)));
            }
        }
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

impl<T> Default for Entries<'_, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'a, T> Entries<'a, T> {
    fn sorted(mut entries: Vec<(Cow<'a, str>, T)>) -> Self {
        // Stable, and turned round: of equal keys the last comes first, and the others go.
        entries.reverse();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        entries.dedup_by(|(later, _), (first, _)| later == first);
        Self(entries)
    }

    fn put(&mut self, key: Cow<'a, str>, value: T) {
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
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

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
        contexts.plain = Entries::sorted(plain);
        Ok(contexts)
    }
}

/// Reads an object, or takes the default.
struct Lenient<T>(std::marker::PhantomData<T>);

impl<T> Lenient<T> {
    fn new() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<'de, T: Deserialize<'de> + Default> serde::de::DeserializeSeed<'de> for Lenient<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        object(deserializer)
    }
}
