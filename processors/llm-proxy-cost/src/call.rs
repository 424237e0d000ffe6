//! One call of a model, as it comes: everything may be missing or null, but a number is a number.

use std::borrow::Cow;

use serde::Deserialize;
use shared::lenient::Text;
use shared::null::OrDefault;

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Call<'a> {
    pub org_id: OrDefault<u64>,
    pub project_id: OrDefault<u64>,
    /// Must be text where it is there.
    #[serde(borrow)]
    pub timestamp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub feature: Text<'a>,
    #[serde(borrow)]
    pub model: Text<'a>,
    #[serde(borrow)]
    pub region: Text<'a>,
    #[serde(borrow)]
    pub call_type: Text<'a>,
    pub prompt_tokens: OrDefault<u32>,
    pub completion_tokens: OrDefault<u32>,
    pub cache_read_tokens: OrDefault<u32>,
    pub cache_write_tokens: OrDefault<u32>,
    pub total_cost_usd: OrDefault<f64>,
    pub input_cost_usd: OrDefault<f64>,
    pub output_cost_usd: OrDefault<f64>,
    pub cache_read_cost_usd: OrDefault<f64>,
    pub cache_write_cost_usd: OrDefault<f64>,
    pub litellm_cost_usd: OrDefault<f64>,
    pub is_long_context: OrDefault<u8>,
    pub is_regional: OrDefault<u8>,
    pub response_time_ms: OrDefault<f64>,
    #[serde(borrow)]
    pub litellm_call_id: Text<'a>,
}
