//! A profile as it comes, with the functions that ran: what is required is strict, what is optional is lenient.

use std::borrow::Cow;

use serde::Deserialize;
use shared::lenient::{Str, Text, Whole};
use shared::{id, number};
use tidegate_processor::Uuid;

/// Times are seconds since 1970.
#[derive(Deserialize)]
pub struct CallTree<'a> {
    pub project_id: u64,
    #[serde(deserialize_with = "id::required")]
    pub profile_id: Uuid,
    #[serde(borrow)]
    pub platform: Cow<'a, str>,
    #[serde(borrow)]
    pub transaction_name: Cow<'a, str>,
    pub timestamp: f64,
    pub received: f64,
    pub retention_days: u16,
    #[serde(borrow)]
    pub functions: Vec<Function<'a>>,
    #[serde(default, deserialize_with = "number::any")]
    pub start_timestamp: Option<f64>,
    #[serde(default, deserialize_with = "number::any")]
    pub end_timestamp: Option<f64>,
    #[serde(borrow, default)]
    pub environment: Str<'a>,
    #[serde(borrow, default)]
    pub release: Str<'a>,
    #[serde(borrow, default)]
    pub profiling_type: Text<'a>,
    #[serde(default)]
    pub materialization_version: Whole,
}

#[derive(Deserialize)]
pub struct Function<'a> {
    pub fingerprint: u64,
    #[serde(borrow, rename = "function")]
    pub name: Cow<'a, str>,
    #[serde(borrow)]
    pub package: Cow<'a, str>,
    pub in_app: bool,
    pub self_times_ns: Vec<f64>,
    #[serde(borrow, default)]
    pub thread_id: Text<'a>,
}
