//! What the tests of the whole share: generated events, real servers, the simulated world.

pub mod clickhouse;
pub mod events;
pub mod guests;
pub mod hostile;
pub mod kafka;
pub mod pipeline;
pub mod processors;
pub mod proxy;
pub mod registry;
pub mod replicas;
pub mod servers;
pub mod simulation;
pub mod spoilt;
pub mod swaps;
pub mod tidegate;
pub mod tls;
pub mod usage;
pub mod variant;
pub mod web;
pub mod witness;

/// For the asynchronous calls of a test: no threads.
///
/// # Panics
/// If the system has no more to give.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime without threads")
}
