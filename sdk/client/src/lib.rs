//! Downstream of tidegate: readers that wait exactly as long as they must. A [`CommitLog`] knows how far each group has
//! written; a [`SynchronizedConsumer`] hands out messages only when every followed group has written them;
//! [`CommitLog::wait_for`] waits until one message is written; a [`Reader`] asks ClickHouse such that the answer has it.
//!
//! What decides is pure: [`Follower`] and [`Waiters`] know neither Kafka nor a clock, and are checked over all
//! interleavings (`tests/model.rs`) and by vectors that other languages run too (`vectors`).
//!
//! ```no_run
//! use rdkafka::ClientConfig;
//! use tidegate_client::{CommitLog, Partition, Token};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut kafka = ClientConfig::new();
//! kafka.set("bootstrap.servers", "127.0.0.1:9092");
//! let log = CommitLog::start(&kafka, "snuba-commit-log", Default::default())?;
//! // partition and offset are what the producer's delivery report said
//! let token = Token::of_message(Partition::new("events", 3), 1042);
//! log.wait_for(&token, &["snuba-consumers"], std::time::Duration::from_secs(5)).await?;
//! // the row can be read now
//! # Ok(()) }
//! ```

mod clickhouse;
mod follower;
mod gate;
mod kafka;
mod token;
mod waiters;
mod watermark;

pub use clickhouse::{Consistency, Query, ReadError, Reader, ReaderSettings, UnknownConsistency};
pub use follower::{Follower, Input, Output, Report};
pub use gate::{Fact, Gate};
pub use kafka::{
    CommitLog, Error, LogReadError, LogSettings, LogStatus, SynchronizedConsumer, SynchronizedSettings, TopicIdError,
    WaitError, WaitFor, topic_id,
};
pub use tidegate_commit_log::{Counts, DecodeError, Key, Partition, Record};
pub use token::{Token, TokenError};
pub use waiters::{Wait, WaitId, WaitInput, WaitOutput, Waiters};
pub use watermark::{Change, Mark, Watermarks};
