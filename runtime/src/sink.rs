//! Where rows go, and the proof that they are there.
//! Two sinks exist: ClickHouse (`clickhouse::storage`) and the one of the simulation.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::accumulate::RowBatch;
use crate::error::{Backoff, Remedy};
use crate::metrics::PipelineMetrics;
use crate::offset::Progress;
use crate::outcome::{DeadLetter, Replacement};
use crate::status::PipelineStatus;

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

/// The storages of one pipeline, and how many batches may be on their way to them.
pub struct Sinks<I> {
    storages: Vec<Arc<I>>,
    in_flight: Arc<Semaphore>,
    in_flight_max: usize,
    metrics: PipelineMetrics,
    status: PipelineStatus,
}

/// A batch on its way. Dropped, it is given up: the insert may still happen, but nothing will be acknowledged.
#[derive(Debug)]
pub struct Writing {
    task: AbortOnDrop,
    pub replacements: Vec<Replacement>,
    pub dead_letters: Vec<DeadLetter>,
    pub opened: Instant,
}

/// Proof that all rows of these ranges are durable in all their storages; only [`Sinks`] makes one.
#[derive(Debug)]
pub struct Written {
    progress: Progress,
}

#[derive(Debug)]
struct AbortOnDrop(JoinHandle<Written>);

impl<I: Insert> Sinks<I> {
    pub fn new(storages: Vec<Arc<I>>, in_flight_max: usize, metrics: PipelineMetrics, status: PipelineStatus) -> Self {
        Self { storages, in_flight: Arc::new(Semaphore::new(in_flight_max)), in_flight_max, metrics, status }
    }

    pub fn in_flight_max(&self) -> usize {
        self.in_flight_max
    }

    /// Waits for its turn and starts writing, all storages at once.
    pub async fn start(&self, batch: RowBatch) -> Writing {
        let turn = self.in_flight.clone().acquire_owned().await.expect("the semaphore is never closed");
        let RowBatch { blocks, replacements, dead_letters, progress, opened } = batch;
        let inserts = blocks.into_iter().map(|(storage, block)| {
            insist(self.storages[storage].clone(), block, self.metrics.clone(), self.status.clone())
        });
        let inserts = join_all(inserts.collect::<Vec<_>>());
        let task = tokio::spawn(async move {
            inserts.await;
            drop(turn);
            Written { progress }
        });
        Writing { task: AbortOnDrop(task), replacements, dead_letters, opened }
    }
}

/// Sends the identical bytes until they are taken: an error never proves that nothing was written.
async fn insist<I: Insert>(storage: Arc<I>, block: Block, metrics: PipelineMetrics, status: PipelineStatus) {
    let stage = format!("insert into {}", storage.storage());
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
    let mut slow = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
    for attempt in 1.. {
        let started = Instant::now();
        let error = match storage.insert(&block, attempt).await {
            Ok(()) => {
                metrics.inserted(storage.storage(), block.rows, block.raw_bytes, started.elapsed());
                status.clear(&stage);
                return;
            }
            Err(error) => error,
        };
        metrics.insert_failed(storage.storage(), error.code);
        status.last_error(&error.message);
        let pause = if error.remedy == Remedy::Hold {
            tracing::error!(storage = storage.storage(), attempt, %error, "insert refused, the pipeline is held");
            status.hold(&stage, &error.message);
            slow.pause()
        } else {
            tracing::warn!(storage = storage.storage(), attempt, %error, "insert failed, retrying the same bytes");
            status.clear(&stage);
            backoff.pause()
        };
        sleep(pause).await;
    }
}

impl Writing {
    /// Waits until all rows are durable.
    pub async fn written(&mut self) -> Written {
        (&mut self.task.0).await.expect("writing does not panic and is not aborted while it is waited for")
    }
}

impl Written {
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    pub fn into_progress(self) -> Progress {
        self.progress
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
