//! Where rows go, and where they are rewritten; the proof that it is done.
//! Two sinks exist: ClickHouse (`clickhouse::storage`) and the one of the simulation.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::accumulate::RowBatch;
use crate::error::{Backoff, Remedy};
use crate::metrics::PipelineMetrics;
use crate::offset::Progress;
use crate::outcome::{DeadLetter, Replacement, Rewrite};
use crate::share::Share;
use crate::source::Commit;
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
    /// Names of the columns that the rows have, in their order.
    pub columns: Arc<[String]>,
}

/// Takes blocks and rewrites for one storage. `Ok` means that the rows are durable by the storage's rules.
pub trait Insert: Send + Sync + 'static {
    /// The storage's name in the configuration.
    fn storage(&self) -> &str;
    /// `attempt` counts from 1 and is for logs and query ids; the bytes are the same each time.
    fn insert(&self, block: &Block, attempt: u32) -> impl Future<Output = Result<(), InsertError>> + Send;
    /// `number` tells the rewrites of one message apart.
    fn rewrite(&self, rewrite: &Rewrite, number: usize) -> impl Future<Output = Result<Cost, InsertError>> + Send;
}

/// What a rewrite made the storage do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    pub rows_read: u64,
    pub bytes_read: u64,
    pub rows_written: u64,
}

/// An insert or a rewrite without a success. It never proves that nothing was written.
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
    /// What others wait for until this is dropped: see [`Sinks::start`].
    turns: Option<OwnedSemaphorePermit>,
    pub replacements: Vec<Replacement>,
    pub dead_letters: Vec<DeadLetter>,
    pub opened: Instant,
}

/// Proof that all rows of these ranges are durable in all their storages, and all rewrites done; only [`Sinks`] makes
/// one.
#[derive(Debug)]
pub struct Written {
    progress: Progress,
}

#[derive(Debug)]
struct AbortOnDrop(JoinHandle<(Written, Option<OwnedSemaphorePermit>)>);

impl<I: Insert> Sinks<I> {
    pub fn new(storages: Vec<Arc<I>>, in_flight_max: usize, metrics: PipelineMetrics, status: PipelineStatus) -> Self {
        Self { storages, in_flight: Arc::new(Semaphore::new(in_flight_max)), in_flight_max, metrics, status }
    }

    pub fn in_flight_max(&self) -> usize {
        self.in_flight_max
    }

    /// Waits for its turn and starts writing, all storages at once.
    ///
    /// A batch with rewrites has all turns: its rewrites see the rows of every batch before it, and none of the batches
    /// after it. It keeps them until it is dropped, which is after its commit, so a rewrite that is done again after a
    /// crash has no other behind it.
    pub async fn start<C: Commit>(&self, batch: RowBatch, share: &Arc<Share<C>>) -> Writing {
        let RowBatch { blocks, rewrites, replacements, dead_letters, mut progress, opened } = batch;
        let count = if rewrites.is_empty() { 1 } else { self.in_flight_max };
        let turns = self.in_flight.clone().acquire_many_owned(count as u32);
        let turns = turns.await.expect("the semaphore is never closed");
        let inserts = blocks.into_iter().map(|(storage, block)| self.writer(storage).insist_on_insert(block));
        let inserts = join_all(inserts.collect::<Vec<_>>());
        let rewrites: Vec<_> = rewrites.into_iter().map(|(storage, of)| (self.writer(storage), of)).collect();
        let share = share.clone();
        let task = tokio::spawn(async move {
            inserts.await;
            if rewrites.is_empty() {
                drop(turns);
                return (Written { progress }, None);
            }
            for (number, (writer, rewrite)) in rewrites.into_iter().enumerate() {
                let assignment = progress.get(&rewrite.partition).map(|covered| covered.assignment);
                let is_ours = || assignment.is_some_and(|ours| share.holds(&rewrite.partition, ours));
                if !writer.insist_on_rewrite(&rewrite, number, is_ours).await {
                    progress.split_off(|partition, _| *partition == rewrite.partition);
                }
            }
            (Written { progress }, Some(turns))
        });
        Writing { task: AbortOnDrop(task), turns: None, replacements, dead_letters, opened }
    }

    fn writer(&self, storage: usize) -> Writer<I> {
        let (metrics, status) = (self.metrics.clone(), self.status.clone());
        Writer { storage: self.storages[storage].clone(), metrics, status, pauses: Pauses::new() }
    }
}

/// What insists on one insert or one rewrite.
struct Writer<I> {
    storage: Arc<I>,
    metrics: PipelineMetrics,
    status: PipelineStatus,
    pauses: Pauses,
}

/// How long to wait after an error: longer where somebody has to act.
struct Pauses {
    retry: Backoff,
    hold: Backoff,
}

impl Pauses {
    fn new() -> Self {
        Self {
            retry: Backoff::new(Duration::from_millis(100), Duration::from_secs(10)),
            hold: Backoff::new(Duration::from_secs(1), Duration::from_secs(30)),
        }
    }
}

impl<I: Insert> Writer<I> {
    /// Sends the identical bytes until they are taken: an error never proves that nothing was written.
    async fn insist_on_insert(mut self, block: Block) {
        let stage = format!("insert into {}", self.storage.storage());
        for attempt in 1.. {
            let started = Instant::now();
            match self.storage.insert(&block, attempt).await {
                Ok(()) => {
                    let storage = self.storage.storage();
                    self.metrics.inserted(storage, block.rows, block.raw_bytes, started.elapsed());
                    return self.status.clear(&stage);
                }
                Err(error) => self.failed(&stage, attempt, &error).await,
            }
        }
    }

    /// Sends the same statement until it was carried out. False when the partition is not ours any more: whoever has it
    /// now reads the message again.
    async fn insist_on_rewrite(mut self, rewrite: &Rewrite, number: usize, is_ours: impl Fn() -> bool) -> bool {
        let stage = format!("rewrite of {}", self.storage.storage());
        for attempt in 1.. {
            if !is_ours() {
                break;
            }
            let started = Instant::now();
            let done = with_signs_of_life(&self.status, self.storage.rewrite(rewrite, number)).await;
            match done {
                Ok(cost) => {
                    let (storage, took) = (self.storage.storage(), started.elapsed());
                    tracing::info!(storage, partition = %rewrite.partition, offset = rewrite.offset, ?cost, ?took, "rewritten");
                    self.metrics.rewritten(storage, cost, took);
                    self.status.clear(&stage);
                    return true;
                }
                Err(error) => self.failed(&stage, attempt, &error).await,
            }
        }
        self.status.clear(&stage);
        false
    }

    async fn failed(&mut self, stage: &str, attempt: u32, error: &InsertError) {
        self.metrics.insert_failed(self.storage.storage(), error.code);
        self.status.last_error(&error.message);
        let pause = if error.remedy == Remedy::Hold {
            tracing::error!(stage, attempt, %error, "refused, the pipeline is held");
            self.status.hold(stage, &error.message);
            self.pauses.hold.pause()
        } else {
            tracing::warn!(stage, attempt, %error, "failed, trying the same again");
            self.status.clear(stage);
            self.pauses.retry.pause()
        };
        sleep(pause).await;
    }
}

/// A rewrite may take minutes, in which nothing else moves.
async fn with_signs_of_life<T>(status: &PipelineStatus, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = sleep(Duration::from_secs(10)) => status.alive(),
        }
    }
}

impl Writing {
    /// Waits until all rows are durable and all rewrites done.
    pub async fn written(&mut self) -> Written {
        let done = (&mut self.task.0).await;
        let (written, turns) = done.expect("writing does not panic and is not aborted while it is waited for");
        self.turns = turns;
        written
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
