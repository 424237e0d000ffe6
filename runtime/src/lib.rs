//! tidegate: Kafka through WebAssembly processors into ClickHouse. ARCHITECTURE.md shows the way of a message.

pub mod error;
pub mod message;
pub mod offset;
pub mod outcome;
pub mod processor;
pub mod publish;
pub mod sink;
pub mod source;
