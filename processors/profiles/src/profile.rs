//! The profile as it comes: what is required is strict, what is optional is lenient.

use std::borrow::Cow;

use serde::Deserialize;
use shared::id;
use shared::lenient::{Str, Text, Whole};
use tidegate_processor::Uuid;

#[derive(Deserialize)]
pub struct Profile<'a> {
    pub organization_id: u64,
    pub project_id: u64,
    #[serde(deserialize_with = "id::required")]
    pub transaction_id: Uuid,
    #[serde(deserialize_with = "id::required")]
    pub profile_id: Uuid,
    #[serde(deserialize_with = "id::required")]
    pub trace_id: Uuid,
    /// Seconds since 1970.
    pub received: f64,
    pub duration_ns: u64,
    #[serde(borrow)]
    pub device_locale: Cow<'a, str>,
    #[serde(borrow)]
    pub device_manufacturer: Cow<'a, str>,
    #[serde(borrow)]
    pub device_model: Cow<'a, str>,
    #[serde(borrow)]
    pub device_os_name: Cow<'a, str>,
    #[serde(borrow)]
    pub device_os_version: Cow<'a, str>,
    #[serde(borrow)]
    pub platform: Cow<'a, str>,
    #[serde(borrow)]
    pub transaction_name: Cow<'a, str>,
    #[serde(borrow)]
    pub version_name: Cow<'a, str>,
    #[serde(borrow)]
    pub version_code: Cow<'a, str>,
    pub retention_days: Option<u32>,
    #[serde(default)]
    pub android_api_level: Whole,
    #[serde(borrow, default)]
    pub architecture: Text<'a>,
    #[serde(borrow, default)]
    pub device_classification: Text<'a>,
    #[serde(borrow, default)]
    pub device_os_build_number: Text<'a>,
    #[serde(borrow, default)]
    pub environment: Str<'a>,
}
