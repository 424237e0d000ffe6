//! The chunk as it comes.

use serde::Deserialize;
use shared::id;
use shared::lenient::Str;
use tidegate_processor::Uuid;

/// Times are seconds since 1970.
#[derive(Deserialize)]
pub struct Chunk<'a> {
    pub project_id: u64,
    #[serde(deserialize_with = "id::required")]
    pub profiler_id: Uuid,
    #[serde(deserialize_with = "id::required")]
    pub chunk_id: Uuid,
    pub start_timestamp: f64,
    pub end_timestamp: f64,
    pub received: f64,
    #[serde(borrow, default)]
    pub environment: Str<'a>,
    pub retention_days: Option<u32>,
}
