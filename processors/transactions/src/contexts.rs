//! Contexts: what has no column of its own becomes pairs `name.key` and value, in the order of the event.

use std::borrow::Cow;

use serde_json::{Map, Value};
use shared::python;
use tidegate_processor::Uuid;

/// `data.contexts`. `trace.data["thread.id"]` stands in it as `trace.thread_id`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(from = "Map<String, Value>")]
pub struct Contexts(Map<String, Value>);

/// Keys and values of a `Nested(key, value)`.
pub type Pairs<'a> = Vec<(String, Cow<'a, str>)>;

impl Contexts {
    pub fn has_trace(&self) -> bool {
        python::is_truthy(self.trace())
    }

    /// Null if there is none.
    pub fn trace(&self) -> &Value {
        self.0.get("trace").unwrap_or(&Value::Null)
    }

    /// A value that is text.
    pub fn get(&self, context: &str, key: &str) -> Option<&str> {
        self.0.get(context)?.get(key)?.as_str()
    }

    /// A value as text; empty for none, a list or an object.
    pub fn text(&self, context: &str, key: &str) -> Cow<'_, str> {
        let value = self.0.get(context).and_then(|context| context.get(key));
        value.and_then(python::scalar_text).unwrap_or_default()
    }

    pub fn uuid(&self, context: &str, key: &str) -> Option<Uuid> {
        self.get(context, key).and_then(Uuid::parse)
    }

    /// What is stored in `contexts.key` and `contexts.value`, without the contexts named in `skipped`. A `geo` of the
    /// user comes last if there is no other.
    pub fn stored<'a>(&'a self, user_geo: Option<&'a Value>, skipped: &[String]) -> Pairs<'a> {
        let geo = user_geo.filter(|_| !self.0.contains_key("geo")).map(|geo| ("geo", geo));
        let contexts = self.0.iter().map(|(name, context)| (name.as_str(), context)).chain(geo);
        let mut pairs = Vec::new();
        for (name, context) in contexts.filter(|(name, _)| !skipped.iter().any(|skipped| skipped == name)) {
            let Value::Object(entries) = context else { continue };
            for (key, value) in entries.iter().filter(|(key, _)| *key != "type" && !has_column(name, key)) {
                let value = python::scalar_text(value).filter(|value| !value.is_empty());
                pairs.extend(value.map(|value| (format!("{name}.{key}"), value)));
            }
        }
        pairs
    }
}

impl From<Map<String, Value>> for Contexts {
    fn from(mut contexts: Map<String, Value>) -> Self {
        if let Some(Value::Object(trace)) = contexts.get_mut("trace") {
            let id = trace.get("data").and_then(|data| data.get("thread.id")).and_then(python::scalar_text);
            if let Some(id) = id.map(Cow::into_owned) {
                trace.insert("thread_id".into(), id.into());
            }
        }
        Self(contexts)
    }
}

/// Whether an entry is stored elsewhere, or nowhere on purpose.
fn has_column(context: &str, key: &str) -> bool {
    matches!(
        (context, key),
        ("trace", "trace_id" | "span_id" | "data" | "hash" | "exclusive_time")
            | ("app", "start_type")
            | ("profile", "profile_id" | "profiler_id")
            | ("replay", "replay_id")
    )
}
