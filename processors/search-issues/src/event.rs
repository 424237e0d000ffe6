//! The event as it comes: what is required is strict, what is optional is lenient.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use shared::contexts::Contexts;
use shared::lenient::{Str, Text, Whole, float, object};
use shared::moment::Moment;
use shared::number;
use shared::tags::Tags;
use shared::who::{Request, Sdk, User};

/// `[2, "insert", event, state]`
#[derive(Deserialize)]
pub struct StreamMessage<'a>(
    pub u64,
    #[serde(borrow)] pub Cow<'a, str>,
    #[serde(borrow)] pub Box<Event<'a>>,
    pub IgnoredAny,
);

#[derive(Deserialize)]
pub struct Event<'a> {
    #[serde(default, deserialize_with = "number::whole")]
    pub organization_id: Option<u64>,
    pub project_id: u64,
    pub group_id: u64,
    #[serde(borrow, default)]
    pub group_first_seen: Str<'a>,
    #[serde(borrow, default)]
    pub event_id: Str<'a>,
    #[serde(borrow)]
    pub primary_hash: Cow<'a, str>,
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    #[serde(borrow)]
    pub datetime: Cow<'a, str>,
    #[serde(borrow, default)]
    pub platform: Text<'a>,
    #[serde(default)]
    pub retention_days: Whole,
    #[serde(borrow)]
    pub occurrence_id: Cow<'a, str>,
    #[serde(borrow)]
    pub occurrence_data: Occurrence<'a>,
    #[serde(borrow)]
    pub data: Data<'a>,
}

/// What was found, and when.
#[derive(Deserialize)]
pub struct Occurrence<'a> {
    #[serde(rename = "type")]
    pub kind: u16,
    #[serde(borrow)]
    pub issue_title: Cow<'a, str>,
    #[serde(borrow)]
    pub fingerprint: Vec<Cow<'a, str>>,
    /// Seconds since 1970.
    pub detection_time: f64,
    #[serde(borrow, default)]
    pub resource_id: Text<'a>,
    #[serde(borrow, default)]
    pub subtitle: Text<'a>,
    #[serde(borrow, default)]
    pub culprit: Text<'a>,
    #[serde(borrow, default)]
    pub level: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Data<'a> {
    #[serde(deserialize_with = "float")]
    pub received: f64,
    #[serde(deserialize_with = "number::any")]
    start_timestamp: Option<f64>,
    #[serde(deserialize_with = "number::any")]
    timestamp: Option<f64>,
    #[serde(borrow)]
    pub environment: Text<'a>,
    #[serde(borrow)]
    pub release: Text<'a>,
    #[serde(borrow)]
    pub dist: Text<'a>,
    #[serde(borrow)]
    pub tags: Tags<'a>,
    #[serde(borrow, deserialize_with = "object")]
    pub contexts: Contexts<'a>,
    #[serde(borrow, deserialize_with = "object", alias = "sentry.interfaces.User")]
    pub user: User<'a>,
    #[serde(borrow, deserialize_with = "object", alias = "sentry.interfaces.Http")]
    pub request: Request<'a>,
    #[serde(borrow, deserialize_with = "object")]
    pub sdk: Sdk<'a>,
}

impl Data<'_> {
    /// Milliseconds that the transaction took, if the issue was found in one; otherwise 0.
    pub fn transaction_duration_ms(&self) -> u32 {
        let moment = |seconds: Option<f64>| seconds.and_then(Moment::at);
        let (start, finish) = (moment(self.start_timestamp), moment(self.timestamp));
        start.zip(finish).map_or(0, |(start, finish)| finish.milliseconds_since(start))
    }
}
