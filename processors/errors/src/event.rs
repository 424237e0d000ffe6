//! The event as it comes: what is required is strict, what is optional is lenient.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use shared::entries::Entries;
use shared::lenient::{Flag, List, Object, Str, Text, float, object};
use shared::tags::Tags;
use shared::who::{Request, Sdk, User};

use crate::contexts::Contexts;
use crate::exception::{Exception, Thread};

#[derive(Deserialize)]
pub struct Event<'a> {
    pub project_id: u64,
    pub group_id: u64,
    #[serde(borrow)]
    pub event_id: Cow<'a, str>,
    #[serde(borrow)]
    pub primary_hash: Cow<'a, str>,
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    /// Must be text where it is there.
    #[serde(borrow, default)]
    pub datetime: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub group_first_seen: Str<'a>,
    #[serde(borrow, default)]
    pub platform: Text<'a>,
    #[serde(default)]
    pub retention_days: Option<u32>,
    #[serde(borrow)]
    pub data: Data<'a>,
}

#[derive(Deserialize)]
pub struct Data<'a> {
    #[serde(borrow, default, rename = "type")]
    pub kind: Text<'a>,
    #[serde(default, deserialize_with = "float")]
    pub received: f64,
    #[serde(borrow, default)]
    pub title: Text<'a>,
    #[serde(borrow, default)]
    pub culprit: Text<'a>,
    #[serde(borrow, default)]
    pub location: Str<'a>,
    #[serde(borrow, default)]
    pub version: Str<'a>,
    #[serde(borrow, default)]
    pub tags: Tags<'a>,
    #[serde(borrow, default, deserialize_with = "object")]
    pub contexts: Contexts<'a>,
    #[serde(borrow, default, deserialize_with = "object", alias = "sentry.interfaces.User")]
    pub user: User<'a>,
    #[serde(borrow, default, deserialize_with = "object", alias = "sentry.interfaces.Http")]
    pub request: Request<'a>,
    #[serde(borrow, default, deserialize_with = "object")]
    pub sdk: Sdk<'a>,
    #[serde(borrow, default, deserialize_with = "object", alias = "sentry.interfaces.Exception")]
    pub exception: Values<Exception<'a>>,
    #[serde(borrow, default, deserialize_with = "object", alias = "sentry.interfaces.Threads")]
    pub threads: Values<Thread<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    pub modules: Modules<'a>,
    #[serde(default)]
    pub errors: List<serde::de::IgnoredAny>,
    #[serde(default)]
    pub symbolicated_in_app: Flag,
    #[serde(default, deserialize_with = "float")]
    pub sample_rate: f64,
}

/// `{"values": [...]}`; nulls in it are dropped.
pub struct Values<T> {
    pub values: Vec<T>,
}

/// Name and version, sorted by name.
pub type Modules<'a> = Entries<'a, Text<'a>>;

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self { values: Vec::new() }
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Values<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(bound = "T: Deserialize<'de> + Default")]
        struct Holder<T> {
            #[serde(default)]
            values: List<Option<Object<T>>>,
        }
        let Holder { values: List(values) } = Holder::<T>::deserialize(deserializer)?;
        Ok(Self { values: values.into_iter().flatten().map(|Object(value)| value).collect() })
    }
}
