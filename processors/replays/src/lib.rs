//! Replay events: topic `ingest-replay-events`, table `replays`. README.md says where it differs from the reference.

mod envelope;
mod event;
mod row;

use shared::{epoch, payload};
use tidegate_processor::{Manifest, Message, NoConfig, Outcome, Processor, Rejection, Rows, Wants, export};

use envelope::{Envelope, Payload};
use event::Event;
use row::Replay;

/// The processor.
#[derive(Debug)]
pub struct Replays;

impl Processor for Replays {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("replays", env!("CARGO_PKG_VERSION")).output("replays", row::COLUMNS).wants(Wants::OFFSETS)
    }

    fn new(_config: NoConfig, _topics: &[String]) -> Result<Self, String> {
        Ok(Self)
    }

    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
        let Envelope { project_id, replay_id, retention_days, start_time, payload } = payload::object(message)?;
        let replay = Replay { project_id, replay_id, retention_days, message };
        epoch::received(rows, start_time);
        let bytes;
        let event: Event<'_> = match payload {
            Payload::Object(event) => event,
            Payload::Bytes(read) => {
                bytes = read;
                serde_json::from_slice(&bytes).map_err(|error| format!("payload: {error}"))?
            }
        };
        let moments = event.moments(message);
        if moments.is_empty() {
            return Ok(Outcome::Skipped);
        }
        for moment in &moments {
            row::write(&replay, moment, rows)?;
        }
        Ok(Outcome::Rows)
    }
}

export!(Replays);
