//! The client on a real Kafka, with a host that the tests play: what it says is durable is known to them at any moment.

#![allow(clippy::unwrap_used)]

mod broker;
mod follow;
mod read;
mod wait;
