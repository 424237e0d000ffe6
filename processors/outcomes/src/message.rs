//! The message as it comes: strict in numbers, which are counted; lenient in what describes them.

use std::borrow::Cow;

use serde::Deserialize;
use shared::lenient::Str;
use shared::null::OrDefault;
use tidegate_processor::{Uuid, count};

#[derive(Deserialize)]
pub struct OutcomeMessage<'a> {
    #[serde(default)]
    pub org_id: OrDefault<u64>,
    #[serde(default)]
    pub project_id: OrDefault<u64>,
    pub key_id: Option<u64>,
    /// Must be text where it is there.
    #[serde(borrow, default)]
    pub timestamp: Option<Cow<'a, str>>,
    pub outcome: u8,
    #[serde(borrow, default)]
    reason: Str<'a>,
    #[serde(borrow, default)]
    event_id: Str<'a>,
    quantity: Option<u64>,
    category: Option<u8>,
}

impl OutcomeMessage<'_> {
    /// What a client says of its own discards is kept only if it is one of the known reasons.
    pub fn reason(&self) -> Option<&str> {
        let known = |reason: &&str| self.outcome != CLIENT_DISCARD || CLIENT_REASONS.contains(reason);
        self.reason.0.as_deref().filter(known)
    }

    pub fn event_id(&self) -> Option<Uuid> {
        self.event_id.0.as_deref().and_then(Uuid::parse)
    }

    pub fn quantity(&self) -> u64 {
        self.quantity.unwrap_or(1)
    }

    pub fn category(&self) -> u8 {
        self.category.unwrap_or(ERROR_CATEGORY)
    }

    /// Counts what the sender should have said.
    pub fn count_missing(&self) {
        if self.quantity.is_none() {
            count("missing_quantity", 1);
        }
        if self.category.is_none() && self.outcome != ABUSE {
            count("missing_category", 1);
        }
    }
}

/// Outcomes of this kind come from load balancers, which know no categories.
const ABUSE: u8 = 4;
const CLIENT_DISCARD: u8 = 5;
const ERROR_CATEGORY: u8 = 1;

const CLIENT_REASONS: &[&str] = &[
    "backpressure",
    "before_send",
    "buffer_overflow",
    "cache_overflow",
    "event_processor",
    "ignored",
    "insufficient_data",
    "internal_sdk_error",
    "invalid",
    "network_error",
    "no_parent_span",
    "queue_overflow",
    "ratelimit_backoff",
    "sample_rate",
    "send_error",
];
