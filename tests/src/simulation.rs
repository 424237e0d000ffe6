//! The pipeline against a world in memory: virtual time, seeded faults, and invariants checked at every step.
//!
//! The stages are the real ones. Only what lies outside the process is replaced: the topic (`source`), the processor's
//! code, ClickHouse, and the brokers that take commits and records. Everything that happens is written down; the same
//! seed writes the same log.

mod faults;
mod processor;
mod run;
mod source;
mod world;

pub use faults::Faults;
pub use run::{Outcome, run};
