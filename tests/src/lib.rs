//! What the tests of the whole share: the simulated world.

pub mod simulation;
