//! Profiles: topic `processed-profiles`, table `profiles`. README.md says where it differs from the reference.

mod profile;
mod row;

use shared::{epoch, payload};
use tidegate_processor::{Manifest, Message, NoConfig, Outcome, Processor, Rejection, Rows, Wants, export};

use profile::Profile;

/// The processor.
#[derive(Debug)]
pub struct Profiles;

impl Processor for Profiles {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("profiles", env!("CARGO_PKG_VERSION")).output("profiles", row::COLUMNS).wants(Wants::OFFSETS)
    }

    fn new(_config: NoConfig, _topics: &[String]) -> Result<Self, String> {
        Ok(Self)
    }

    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
        let profile: Profile<'_> = payload::object(message)?;
        epoch::received(rows, profile.received);
        row::write(&profile, message, rows)?;
        Ok(Outcome::Rows)
    }
}

export!(Profiles);
