//! Chunks of continuous profiles: topic `snuba-profile-chunks`, table `profile_chunks`. README.md says where it differs
//! from the reference.

mod chunk;
mod row;

use shared::{epoch, payload};
use tidegate_processor::{Manifest, Message, NoConfig, Outcome, Processor, Rejection, Rows, Wants, export};

use chunk::Chunk;

/// The processor.
#[derive(Debug)]
pub struct ProfileChunks;

impl Processor for ProfileChunks {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("profile-chunks", env!("CARGO_PKG_VERSION"))
            .output("profile_chunks", row::COLUMNS)
            .wants(Wants::OFFSETS)
    }

    fn new(_config: NoConfig, _topics: &[String]) -> Result<Self, String> {
        Ok(Self)
    }

    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
        let chunk: Chunk<'_> = payload::object(message)?;
        epoch::received(rows, chunk.received);
        row::write(&chunk, message, rows)?;
        Ok(Outcome::Rows)
    }
}

export!(ProfileChunks);
