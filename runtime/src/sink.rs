//! Where rows go, and the proof that they are there.
//! Two sinks exist: ClickHouse (`clickhouse::storage`) and the one of the simulation.

use bytes::Bytes;

use crate::error::Remedy;
use crate::offset::Progress;

/// Rows for one storage, encoded and compressed once: what is sent, and sent again unchanged after any error.
#[derive(Clone, Debug)]
pub struct Block {
    /// ClickHouse's compressed blocks (LZ4 frames with checksums), to be sent with `decompress=1`.
    pub body: Bytes,
    pub rows: u64,
    /// RowBinary bytes before compression.
    pub raw_bytes: u64,
    /// The same for the same ranges: makes sending twice harmless where the table deduplicates.
    pub token: String,
}

/// Takes blocks for one storage. `Ok` means that the rows are durable by the storage's rules.
pub trait Insert: Send + Sync + 'static {
    /// The storage's name in the configuration.
    fn storage(&self) -> &str;
    /// `attempt` counts from 1 and is for logs and query ids; the bytes are the same each time.
    fn insert(&self, block: &Block, attempt: u32) -> impl Future<Output = Result<(), InsertError>> + Send;
}

/// An insert without a success. It never proves that nothing was written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct InsertError {
    /// `failed to write 8192 rows (4.1 MiB) to table "t" at http://ch-1:8123: code 252, too many parts`
    pub message: String,
    /// `Retry` or `Hold`.
    pub remedy: Remedy,
    /// ClickHouse's exception code, where there was an answer.
    pub code: Option<u32>,
}

/// Proof that all rows of these ranges are durable in all their storages; only [`write`] makes one.
#[derive(Debug)]
pub struct Written {
    progress: Progress,
}

impl Written {
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    pub fn into_progress(self) -> Progress {
        self.progress
    }
}
