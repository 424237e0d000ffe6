//! What the tests of the whole share: generated events, real servers, the simulated world.

pub mod clickhouse;
pub mod events;
pub mod kafka;
pub mod pipeline;
pub mod proxy;
pub mod servers;
pub mod simulation;
pub mod tidegate;
pub mod witness;
