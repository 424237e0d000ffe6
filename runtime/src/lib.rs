//! tidegate: Kafka through WebAssembly processors into ClickHouse. ARCHITECTURE.md shows the way of a message.

pub mod accumulate;
pub mod admin;
pub mod block;
pub mod cli;
pub mod clickhouse;
pub mod commit_log;
pub mod config;
pub mod dead_letter;
pub mod error;
pub mod flow;
pub mod kafka;
pub mod message;
pub mod metrics;
pub mod offset;
pub mod outcome;
pub mod pipeline;
pub mod processor;
pub mod publish;
pub mod schema;
pub mod secret;
pub mod select;
pub mod settle;
pub mod sink;
pub mod source;
pub mod start;
pub mod status;
