//! Log of queries: topic `snuba-queries`, table `querylog`. README.md says where it differs from the reference.

mod entry;
mod row;

use shared::payload;
use tidegate_processor::{Manifest, Message, NoConfig, Outcome, Processor, Rejection, Rows, Wants, export};

use entry::Entry;

/// The processor.
#[derive(Debug)]
pub struct Querylog;

impl Processor for Querylog {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("querylog", env!("CARGO_PKG_VERSION")).output("querylog", row::COLUMNS).wants(Wants::OFFSETS)
    }

    fn new(_config: NoConfig, _topics: &[String]) -> Result<Self, String> {
        Ok(Self)
    }

    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
        let entry: Entry<'_> = payload::object(message)?;
        row::write(&entry, message, rows)?;
        Ok(Outcome::Rows)
    }
}

export!(Querylog);
