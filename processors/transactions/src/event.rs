//! The event as it comes. Nothing is required while it is read: what is no transaction is skipped, however odd.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;
use shared::entries::Entries;
use shared::lenient::{List, Object, Str, Text, Whole, object};
use shared::who::{Request, Sdk};

use crate::contexts::Contexts;
use crate::spans::Span;
use crate::tags::Tags;

/// The event of a message `[version, "insert", event, …]`; none if the version is not known or the type is another.
pub struct Inserted<'a>(pub Option<Box<Event<'a>>>);

#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub struct Event<'a> {
    pub project_id: Value,
    #[serde(borrow)]
    pub event_id: Str<'a>,
    #[serde(borrow)]
    pub platform: Text<'a>,
    #[serde(borrow)]
    pub release: Text<'a>,
    pub retention_days: Whole,
    pub group_ids: List<Value>,
    #[serde(borrow, deserialize_with = "object")]
    pub data: Data<'a>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub struct Data<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub transaction: Text<'a>,
    #[serde(borrow, deserialize_with = "object")]
    pub transaction_info: TransactionInfo<'a>,
    pub start_timestamp: Value,
    pub timestamp: Value,
    pub received: Value,
    #[serde(borrow)]
    pub dist: Text<'a>,
    pub tags: Tags,
    #[serde(deserialize_with = "object")]
    pub contexts: Contexts,
    user: Value,
    #[serde(rename = "sentry.interfaces.User")]
    older_user: Value,
    #[serde(borrow)]
    request: Option<Object<Request<'a>>>,
    #[serde(borrow, rename = "sentry.interfaces.Http")]
    older_request: Option<Object<Request<'a>>>,
    #[serde(borrow, deserialize_with = "object")]
    pub sdk: Sdk<'a>,
    #[serde(borrow, deserialize_with = "object")]
    pub measurements: Measurements<'a>,
    #[serde(borrow, deserialize_with = "object")]
    pub breakdowns: Breakdowns<'a>,
    #[serde(borrow)]
    pub spans: List<Object<Span<'a>>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub struct TransactionInfo<'a> {
    #[serde(borrow)]
    pub source: Text<'a>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub struct Breakdowns<'a> {
    #[serde(borrow, deserialize_with = "object")]
    pub span_ops: Measurements<'a>,
}

/// By name, sorted.
#[derive(Default, serde::Deserialize)]
#[serde(transparent)]
pub struct Measurements<'a>(#[serde(borrow)] Entries<'a, Object<Measurement>>);

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Measurement {
    value: Value,
}

impl Data<'_> {
    /// `user`, or else `sentry.interfaces.User`.
    pub fn user(&self) -> &Value {
        if self.user.is_null() { &self.older_user } else { &self.user }
    }
}

impl<'a> Data<'a> {
    /// `request`, or else `sentry.interfaces.Http`.
    pub fn request(&self) -> Option<&Request<'a>> {
        self.request.as_ref().or(self.older_request.as_ref()).map(|Object(request)| request)
    }
}

impl Measurements<'_> {
    /// Name and value of those that are numbers.
    pub fn numbers(&self) -> impl Iterator<Item = (&str, f64)> + Clone {
        self.0.0.iter().filter_map(|(name, Object(measurement))| Some((&**name, measurement.value.as_f64()?)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Inserted<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(InsertedVisitor)
    }
}

struct InsertedVisitor;

impl<'de> Visitor<'de> for InsertedVisitor {
    type Value = Inserted<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[version, type, event, …]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let version = elements.next_element::<Value>()?;
        let kind = elements.next_element::<Text<'de>>()?;
        let version_is_known = version.and_then(|version| version.as_f64()).is_some_and(|v| VERSIONS.contains(&v));
        let mut insert = None;
        if version_is_known && kind.is_some_and(|kind| kind.is("insert")) {
            insert = elements.next_element::<Object<_>>()?.map(|Object(event)| Box::new(event));
        }
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Inserted(insert))
    }
}

const VERSIONS: [f64; 3] = [0.0, 1.0, 2.0];
