//! Attributes of groups: topic `group-attributes`, table `group_attributes`. README.md says what the columns hold.

mod row;
mod snapshot;

use shared::payload;
use tidegate_processor::{Manifest, Message, NoConfig, Outcome, Processor, Rejection, Rows, Wants, export};

use snapshot::Snapshot;

/// The processor.
#[derive(Debug)]
pub struct GroupAttributes;

impl Processor for GroupAttributes {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("group-attributes", env!("CARGO_PKG_VERSION"))
            .output("group_attributes", row::COLUMNS)
            .wants(Wants::OFFSETS)
    }

    fn new(_: NoConfig, _: &[String]) -> Result<Self, String> {
        Ok(Self)
    }

    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
        let snapshot: Snapshot<'_> = payload::object(message)?;
        row::write(&snapshot, message, rows)?;
        Ok(Outcome::Rows)
    }
}

export!(GroupAttributes);
