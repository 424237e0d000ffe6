//! Accumulating: outcomes of many calls become one batch per storage, closed by rows, by bytes, by time since its first
//! message, or by a rewrite.

use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::block::BlockBuilder;
use crate::flow::Flow;
use crate::offset::Progress;
use crate::outcome::{DeadLetter, Processed, Replacement, Rewrite};
use crate::sink::Block;

/// When a batch is full.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Rows over all storages.
    pub rows_max: u64,
    /// RowBinary bytes over all storages, before compression.
    pub bytes_max: u64,
    /// Since the first message.
    pub time_max: Duration,
}

/// Which storages each output goes to.
#[derive(Clone, Debug)]
pub struct Routes {
    /// A storage of two outputs has two sets of columns, so it is here twice.
    pub storages: Vec<Route>,
    /// Per output of the module, indexes into `storages`.
    pub outputs: Vec<Vec<usize>>,
}

/// An output on its way into a storage: its blocks have tokens of their own.
#[derive(Clone, Debug)]
pub struct Route {
    pub output: String,
    pub storage: String,
}

/// Rows for all storages, with what must be acknowledged beside them and how far it all reaches.
#[derive(Debug)]
pub struct RowBatch {
    /// Storage index and its rows; storages without rows are left out.
    pub blocks: Vec<(usize, Block)>,
    pub replacements: Vec<Replacement>,
    /// Storage index and what is to be rewritten in it, once the rows are there; all of the batch's last message.
    pub rewrites: Vec<(usize, Rewrite)>,
    pub dead_letters: Vec<DeadLetter>,
    pub progress: Progress,
    /// When its first message came.
    pub opened: Instant,
}

/// A batch that is still open.
struct Open {
    builders: Vec<BlockBuilder>,
    replacements: Vec<Replacement>,
    rewrites: Vec<Rewrite>,
    dead_letters: Vec<DeadLetter>,
    progress: Progress,
    opened: Instant,
}

/// The stage: ends when its input ends. What is open then was not asked to be flushed, and is dropped uncommitted.
pub async fn accumulate(
    routes: &Routes,
    limits: Limits,
    mut input: mpsc::Receiver<Flow<Vec<Processed>>>,
    output: mpsc::Sender<Flow<RowBatch>>,
) {
    let mut open: Option<Open> = None;
    loop {
        let due = open.as_ref().map(|batch| batch.opened + limits.time_max);
        let next = tokio::select! {
            biased;
            next = input.recv() => Some(next),
            () = until(due) => None,
        };
        let sign = match next {
            Some(Some(Flow::Data(parts))) => {
                for full in fill(&mut open, routes, limits, parts) {
                    if output.send(Flow::Data(full)).await.is_err() {
                        return;
                    }
                }
                continue;
            }
            Some(Some(Flow::Sign(sign))) => Some(sign),
            Some(None) => return,
            None => None,
        };
        let closed = open.take().map(|batch| Flow::Data(batch.close(routes)));
        for flow in closed.into_iter().chain(sign.map(Flow::Sign)) {
            if output.send(flow).await.is_err() {
                return;
            }
        }
    }
}

/// Appends, and closes what is full.
fn fill<'a>(
    open: &'a mut Option<Open>,
    routes: &'a Routes,
    limits: Limits,
    parts: Vec<Processed>,
) -> impl Iterator<Item = RowBatch> + 'a {
    parts.into_iter().filter_map(move |processed| {
        let mut batch = open.take().unwrap_or_else(|| Open::new(routes));
        batch.append(routes, processed);
        if batch.is_full(limits) {
            return Some(batch.close(routes));
        }
        *open = Some(batch);
        None
    })
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl Open {
    fn new(routes: &Routes) -> Self {
        Self {
            builders: routes.storages.iter().map(|_| BlockBuilder::new()).collect(),
            replacements: Vec::new(),
            rewrites: Vec::new(),
            dead_letters: Vec::new(),
            progress: Progress::default(),
            opened: Instant::now(),
        }
    }

    fn append(&mut self, routes: &Routes, processed: Processed) {
        for rows in &processed.rows {
            for storage in &routes.outputs[rows.output] {
                self.builders[*storage].append(&rows.data, rows.ends.len() as u64);
            }
        }
        self.replacements.extend(processed.replacements);
        self.rewrites.extend(processed.rewrites);
        self.dead_letters.extend(processed.dead_letters);
        self.progress.append(processed.progress);
    }

    /// Rows after a rewrite wait for it, and its commit says that it need not be done again.
    fn is_full(&self, limits: Limits) -> bool {
        let rows: u64 = self.builders.iter().map(BlockBuilder::rows).sum();
        let bytes: u64 = self.builders.iter().map(BlockBuilder::raw_bytes).sum();
        rows >= limits.rows_max || bytes >= limits.bytes_max || !self.rewrites.is_empty()
    }

    fn close(self, routes: &Routes) -> RowBatch {
        let ranges = ranges(&self.progress);
        let built = self.builders.into_iter().enumerate().filter(|(_, builder)| builder.rows() > 0);
        let blocks = built
            .map(|(storage, builder)| (storage, builder.finish(token(&ranges, &routes.storages[storage]))))
            .collect();
        let rewrites = self.rewrites.into_iter().flat_map(|rewrite| {
            let storages = routes.outputs[rewrite.output].iter();
            storages.map(move |storage| (*storage, rewrite.clone()))
        });
        RowBatch {
            blocks,
            rewrites: rewrites.collect(),
            replacements: self.replacements,
            dead_letters: self.dead_letters,
            progress: self.progress,
            opened: self.opened,
        }
    }
}

/// `events:0:100-200,events:1:5-9`
fn ranges(progress: &Progress) -> String {
    let parts = progress.iter().map(|(partition, covered)| {
        format!("{}:{}:{}-{}", partition.topic, partition.number, covered.range.start, covered.range.end)
    });
    parts.collect::<Vec<_>>().join(",")
}

/// The same for the same ranges and route, and short: it is also part of the query id. Two outputs of one storage must
/// not share it: the table would take the second block for the first one sent again.
fn token(ranges: &str, Route { output, storage }: &Route) -> String {
    let digest = Sha256::digest(format!("{ranges}:{output}:{storage}"));
    let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("tidegate:{hex}")
}
