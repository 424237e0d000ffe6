//! Issues of the issue platform: topic `generic-events`, table `search_issues`. README.md says what the columns hold.

mod event;
mod row;

use shared::payload;
use tidegate_processor::{Manifest, Message, NoConfig, Outcome, Processor, Rejection, Rows, Wants, export};

use event::StreamMessage;

/// The processor.
#[derive(Debug)]
pub struct SearchIssues;

impl Processor for SearchIssues {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("search-issues", env!("CARGO_PKG_VERSION"))
            .output("search_issues", row::COLUMNS)
            .wants(Wants::OFFSETS | Wants::TIMESTAMPS)
    }

    fn new(_: NoConfig, _: &[String]) -> Result<Self, String> {
        Ok(Self)
    }

    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
        let StreamMessage(version, kind, event, _state) = payload::json(message)?;
        if version != 2 {
            return Err(format!("version {version} instead of 2").into());
        }
        if kind != "insert" {
            return Err(format!("type {kind:?} instead of \"insert\"").into());
        }
        if event.data.received > 0.0 {
            rows.received((event.data.received * 1000.0) as i64);
        }
        row::write(event, message, rows)?;
        Ok(Outcome::Rows)
    }
}

export!(SearchIssues);
