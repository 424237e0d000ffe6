//! Functions of profiles: topic `profiles-call-tree`, table `functions_raw`. README.md says where it differs from the
//! reference.

mod profile;
mod row;

use shared::{epoch, json};
use tidegate_processor::{Manifest, Message, NoConfig, Outcome, Processor, Rejection, Rows, export};

use profile::Profile;

/// The processor.
#[derive(Debug)]
pub struct Functions;

impl Processor for Functions {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("functions", env!("CARGO_PKG_VERSION")).output("functions_raw", row::COLUMNS)
    }

    fn new(_config: NoConfig, _topics: &[String]) -> Result<Self, String> {
        Ok(Self)
    }

    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
        let profile: Profile<'_> = json::read(message)?;
        if profile.functions.is_empty() {
            return Ok(Outcome::Skipped);
        }
        epoch::received(rows, profile.received);
        for function in &profile.functions {
            row::write(&profile, function, rows)?;
        }
        Ok(Outcome::Rows)
    }
}

export!(Functions);
