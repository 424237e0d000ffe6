//! Outcomes: topic `outcomes`, table `outcomes_raw`. README.md says where it differs from the reference.

mod message;
mod row;

use shared::payload;
use tidegate_processor::{Manifest, Message, NoConfig, Outcome, Processor, Rejection, Rows, export};

use message::OutcomeMessage;

/// The processor.
#[derive(Debug)]
pub struct Outcomes;

impl Processor for Outcomes {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("outcomes", env!("CARGO_PKG_VERSION"))
            .output("outcomes", row::COLUMNS)
            .self_test(include_str!("self-test.jsonl"))
    }

    fn new(_config: NoConfig, _topics: &[String]) -> Result<Self, String> {
        Ok(Self)
    }

    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
        let outcome: OutcomeMessage<'_> = payload::object(message)?;
        outcome.count_missing();
        row::write(&outcome, message.now_ms(), rows)?;
        Ok(Outcome::Rows)
    }
}

export!(Outcomes);
