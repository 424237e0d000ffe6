//! An entry of the log as it comes: one request and the queries it led to. Strict in what every entry has, lenient in
//! what is known of a query.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value};
use shared::lenient::{Flag, Float, List, Text, Whole, object};
use tidegate_processor::{Rejection, Uuid};

#[derive(Deserialize)]
pub struct Entry<'a> {
    #[serde(borrow)]
    pub request: Request<'a>,
    #[serde(borrow)]
    pub dataset: Cow<'a, str>,
    pub projects: Vec<u64>,
    pub organization: Option<u64>,
    #[serde(borrow)]
    pub status: Cow<'a, str>,
    pub timing: Timing,
    #[serde(borrow)]
    pub query_list: Vec<Query<'a>>,
}

#[derive(Deserialize)]
pub struct Request<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(borrow)]
    pub body: Text<'a>,
    #[serde(borrow)]
    pub referrer: Cow<'a, str>,
}

#[derive(Deserialize)]
pub struct Timing {
    /// Seconds since 1970.
    pub timestamp: u64,
    pub duration_ms: u64,
}

#[derive(Deserialize)]
pub struct Query<'a> {
    #[serde(borrow)]
    pub sql: Cow<'a, str>,
    #[serde(borrow)]
    pub status: Cow<'a, str>,
    #[serde(borrow, default)]
    trace_id: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "object")]
    stats: Map<String, Value>,
    #[serde(borrow, default, deserialize_with = "object")]
    pub profile: Profile<'a>,
    #[serde(default, deserialize_with = "object")]
    pub result_profile: ResultProfile,
}

/// What the query asked for.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Profile<'a> {
    /// Days.
    pub time_range: Whole,
    #[serde(borrow)]
    pub all_columns: List<Text<'a>>,
    pub multi_level_condition: Flag,
    #[serde(borrow, deserialize_with = "object")]
    pub where_profile: WhereProfile<'a>,
    #[serde(borrow)]
    pub groupby_cols: List<Text<'a>>,
    #[serde(borrow)]
    pub array_join_cols: List<Text<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct WhereProfile<'a> {
    #[serde(borrow)]
    pub columns: List<Text<'a>>,
    #[serde(borrow)]
    pub mapping_cols: List<Text<'a>>,
}

/// What the query cost.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ResultProfile {
    pub bytes: Float,
    pub progress_bytes: Float,
    /// Seconds.
    elapsed: Float,
}

impl ResultProfile {
    pub fn duration_ms(&self) -> u32 {
        (self.elapsed.0 * 1000.0) as u32
    }
}

impl Query<'_> {
    /// Nil if there is none.
    ///
    /// # Errors
    /// If there is one that is not a UUID.
    pub fn trace_id(&self) -> Result<Uuid, Rejection> {
        match self.trace_id.as_deref() {
            None | Some("") => Ok(Uuid::default()),
            Some(id) => Uuid::parse(id).ok_or_else(|| "trace_id is not a UUID".into()),
        }
    }

    /// All that is known of the query, as compact JSON with sorted keys.
    pub fn stats(&self) -> String {
        let mut stats = Value::Object(self.stats.clone());
        stats.sort_all_objects();
        stats.to_string()
    }

    pub fn stat_text(&self, name: &str) -> &str {
        self.stats.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// 0 if it is missing or neither a number nor a boolean.
    pub fn stat_number(&self, name: &str) -> f64 {
        match self.stats.get(name) {
            Some(Value::Bool(flag)) => f64::from(u8::from(*flag)),
            Some(Value::Number(number)) => number.as_f64().unwrap_or_default(),
            _ => 0.0,
        }
    }
}
