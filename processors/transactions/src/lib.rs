//! Transactions: topic `transactions`, table `transactions`. README.md says where it differs from the reference.

mod contexts;
mod event;
mod row;
mod spans;
mod tags;
mod times;

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use shared::moment::whole_seconds;
use shared::retention;
use tidegate_processor::{Manifest, Message, Outcome, Processor, Rejection, Rows, Wants, export};

use event::{Event, Inserted};
use times::Times;

/// The processor.
#[derive(Debug)]
pub struct Transactions {
    config: Config,
}

/// Its settings.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether transactions that finished longer ago than they are to be kept are skipped.
    pub discard_old_events: bool,
    /// Whether only 30, 60 and 90 days are let through as retention.
    pub enforce_retention: bool,
    /// By project, the names of contexts that are not stored.
    pub transact_skip_context_store: BTreeMap<u64, Vec<String>>,
}

impl Default for Config {
    fn default() -> Self {
        Self { discard_old_events: true, enforce_retention: false, transact_skip_context_store: BTreeMap::new() }
    }
}

impl Processor for Transactions {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("transactions", env!("CARGO_PKG_VERSION"))
            .output("transactions", row::COLUMNS)
            .wants(Wants::OFFSETS)
    }

    fn new(config: Config, _topics: &[String]) -> Result<Self, String> {
        Ok(Self { config })
    }

    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
        let text = simdutf8::basic::from_utf8(message.payload()?).map_err(|_| "the payload is not UTF-8")?;
        let Some(event) = transaction(text)? else { return Ok(Outcome::Skipped) };
        let times = Times::of(&event.data, message.now_ms())?;
        let retention_days = self.config.retention_days(&event);
        if self.config.discard_old_events && times.finished_before(retention_days, message.now_ms()) {
            return Ok(Outcome::Skipped);
        }
        if let Some(seconds) = event.data.received.as_f64().and_then(whole_seconds) {
            rows.received(i64::from(seconds) * 1000);
        }
        row::write(&event, &times, &self.config, message, rows)?;
        Ok(Outcome::Rows)
    }
}

impl Config {
    fn retention_days(&self, event: &Event<'_>) -> u16 {
        let asked = event.retention_days.0;
        match asked.and_then(|days| u16::try_from(days).ok()) {
            Some(days) if !self.enforce_retention => days,
            _ => retention::days(asked),
        }
    }

    fn skipped_contexts(&self, project_id: u64) -> &[String] {
        self.transact_skip_context_store.get(&project_id).map_or(&[], Vec::as_slice)
    }
}

/// None if the message is not the insert of a transaction, which is no error.
fn transaction(text: &str) -> Result<Option<Box<Event<'_>>>, Rejection> {
    if !text.trim_ascii_start().starts_with('[') {
        serde_json::from_str::<IgnoredAny>(text)?;
        return Ok(None);
    }
    let Inserted(event) = serde_json::from_str(text)?;
    Ok(event.filter(|event| event.data.kind.is("transaction") && event.data.contexts.has_trace()))
}

export!(Transactions);
