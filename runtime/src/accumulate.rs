//! Accumulating: outcomes of many calls become one batch per storage, closed by rows, by bytes, by time since its first
//! message, or by a rewrite.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::block::BlockBuilder;
use crate::flow::Flow;
use crate::offset::Progress;
use crate::outcome::{Answered, DeadLetter, Processed, Replacement, Rewrite};
use crate::route::{Route, Routes};
use crate::sink::Block;

/// When a batch is full.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Rows over all storages.
    pub rows_max: u64,
    /// RowBinary bytes over all storages, before compression.
    pub bytes_max: u64,
    /// Since the first message.
    pub time_max: Duration,
    /// What a storage of this name takes in one batch; the batch is full for all when it is for one.
    pub storages: BTreeMap<String, StorageLimits>,
}

/// What one storage takes in a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StorageLimits {
    pub rows_max: u64,
    /// RowBinary bytes, before compression.
    pub bytes_max: u64,
}

/// Rows for all storages, with what must be acknowledged beside them and how far it all reaches.
#[derive(Debug)]
pub struct RowBatch {
    /// Sink index and its rows; storages without rows are left out.
    pub blocks: Vec<(usize, Block)>,
    pub replacements: Vec<Replacement>,
    /// Sink index and what is to be rewritten in it, once the rows are there; all of the batch's last message.
    pub rewrites: Vec<(usize, Rewrite)>,
    pub dead_letters: Vec<DeadLetter>,
    pub progress: Progress,
    /// When its first message came.
    pub opened: Instant,
}

/// A batch that is still open.
struct Open {
    routes: Arc<Routes>,
    builders: Vec<BlockBuilder>,
    replacements: Vec<Replacement>,
    rewrites: Vec<Rewrite>,
    dead_letters: Vec<DeadLetter>,
    progress: Progress,
    opened: Instant,
}

/// The stage of the pipeline of that name: ends when its input ends. What is open then was not asked to be flushed, and is
/// dropped uncommitted.
pub async fn accumulate(
    pipeline: String,
    limits: Limits,
    mut input: mpsc::Receiver<Flow<Answered>>,
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
            Some(Some(Flow::Data(answered))) => {
                for full in fill(&mut open, &pipeline, &limits, answered) {
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
        let closed = open.take().map(|batch| Flow::Data(batch.close(&pipeline)));
        for flow in closed.into_iter().chain(sign.map(Flow::Sign)) {
            if output.send(flow).await.is_err() {
                return;
            }
        }
    }
}

/// Appends, and closes what is full. Rows of a module that writes other columns begin a batch of their own.
fn fill(
    open: &mut Option<Open>,
    pipeline: &str,
    limits: &Limits,
    answered: Answered,
) -> impl Iterator<Item = RowBatch> {
    let Answered { parts, routes } = answered;
    let of_others = open.take_if(|batch| *batch.routes != *routes).map(|batch| batch.close(pipeline));
    let full = parts.into_iter().filter_map(move |processed| {
        let mut batch = open.take().unwrap_or_else(|| Open::new(routes.clone()));
        batch.append(processed);
        if batch.is_full(limits) {
            return Some(batch.close(pipeline));
        }
        *open = Some(batch);
        None
    });
    of_others.into_iter().chain(full)
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl Open {
    fn new(routes: Arc<Routes>) -> Self {
        Self {
            builders: routes.storages.iter().map(|_| BlockBuilder::new()).collect(),
            routes,
            replacements: Vec::new(),
            rewrites: Vec::new(),
            dead_letters: Vec::new(),
            progress: Progress::default(),
            opened: Instant::now(),
        }
    }

    fn append(&mut self, processed: Processed) {
        self.progress.append(processed.progress);
        for rows in &processed.rows {
            for route in &self.routes.outputs[rows.output] {
                self.builders[*route].append(&rows.data, rows.ends.len() as u64);
                let storage = &self.routes.storages[*route].storage;
                for (partition, count) in &rows.of_partitions {
                    let covered = self.progress.get_mut(partition);
                    covered.expect("rows are of messages that are covered").counts.add_rows(storage, *count);
                }
            }
        }
        self.replacements.extend(processed.replacements);
        self.rewrites.extend(processed.rewrites);
        self.dead_letters.extend(processed.dead_letters);
    }

    /// Rows after a rewrite wait for it, and its commit says that it need not be done again.
    fn is_full(&self, limits: &Limits) -> bool {
        let reached = |storage: Option<&str>, rows_max, bytes_max| {
            let (rows, bytes) = self.size(storage);
            rows >= rows_max || bytes >= bytes_max
        };
        reached(None, limits.rows_max, limits.bytes_max)
            || limits.storages.iter().any(|(name, of)| reached(Some(name), of.rows_max, of.bytes_max))
            || !self.rewrites.is_empty()
    }

    /// Rows and bytes for a storage, by whichever outputs, or for all.
    fn size(&self, storage: Option<&str>) -> (u64, u64) {
        let routed = self.builders.iter().zip(&self.routes.storages);
        let wanted = routed.filter(|(_, route)| storage.is_none_or(|name| name == route.storage));
        wanted.fold((0, 0), |(rows, bytes), (builder, _)| (rows + builder.rows(), bytes + builder.raw_bytes()))
    }

    fn close(self, pipeline: &str) -> RowBatch {
        let ranges = ranges(&self.progress);
        let built = self.builders.into_iter().zip(&self.routes.storages).filter(|(builder, _)| builder.rows() > 0);
        let blocks = built.map(|(builder, route)| {
            let block = builder.finish(token(pipeline, &ranges, route), route.columns.clone());
            (route.sink, block)
        });
        let rewrites = self.rewrites.into_iter().flat_map(|rewrite| {
            let routes = self.routes.outputs[rewrite.output].iter().map(|route| &self.routes.storages[*route]);
            routes.map(move |route| (route.sink, rewrite.clone()))
        });
        RowBatch {
            blocks: blocks.collect(),
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
/// not share it, nor two pipelines: the table would take the second block for the first one sent again.
fn token(pipeline: &str, ranges: &str, Route { output, storage, .. }: &Route) -> String {
    let digest = Sha256::digest(format!("{pipeline}:{ranges}:{output}:{storage}"));
    let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("tidegate:{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::{Assignment, Counts, Covered, Partition, Range};
    use crate::outcome::OutputRows;

    const NO_LIMITS: StorageLimits = StorageLimits { rows_max: u64::MAX, bytes_max: u64::MAX };

    /// Output 0 goes to `many` and `few`, output 1 to `few`.
    fn routes() -> Arc<Routes> {
        let route = |output: &str, storage: &str, sink| Route {
            output: output.into(),
            storage: storage.into(),
            sink,
            columns: Arc::from(["n".to_owned()]),
        };
        let storages = vec![route("a", "many", 0), route("a", "few", 1), route("b", "few", 1)];
        Arc::new(Routes { storages, outputs: vec![vec![0, 1], vec![2]] })
    }

    fn covered() -> Covered {
        Covered {
            assignment: Assignment(1),
            range: Range::new(0, 0),
            last_timestamp_ms: None,
            received_ms: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Rows of one byte.
    fn rows(output: usize, count: u32) -> Processed {
        let rows =
            OutputRows { output, data: vec![0; count as usize], ends: (1..=count).collect(), ..OutputRows::default() };
        Processed { rows: vec![rows], ..Processed::default() }
    }

    /// Rows of the blocks of each batch that these parts fill.
    fn filled(few: StorageLimits, parts: Vec<Processed>) -> Vec<Vec<u64>> {
        let limits = Limits {
            rows_max: 100,
            bytes_max: 100,
            time_max: Duration::MAX,
            storages: BTreeMap::from([("few".to_owned(), few)]),
        };
        let mut open = None;
        let full = fill(&mut open, "p", &limits, Answered { parts, routes: routes() });
        full.map(|batch| batch.blocks.iter().map(|(_, block)| block.rows).collect()).collect()
    }

    #[test]
    fn a_token_names_pipeline_ranges_output_and_storage() {
        let routes = routes();
        let tokens =
            [("p", "events:0:1-2", 0), ("q", "events:0:1-2", 0), ("p", "events:0:1-3", 0), ("p", "events:0:1-2", 1)];
        let tokens = tokens.map(|(pipeline, ranges, route)| token(pipeline, ranges, &routes.storages[route]));
        assert_eq!(tokens.iter().collect::<std::collections::BTreeSet<_>>().len(), 4, "{tokens:?}");
        assert_eq!(token("p", "events:0:1-2", &routes.storages[0]), tokens[0]);
    }

    #[test]
    fn rows_are_counted_by_partition_and_storage() {
        let part = |from: i64, number: i32, rows_of: &[(usize, u32)]| {
            let covered = Covered { range: Range::new(from, from + 1), ..covered() };
            let partition = Partition::new("events", number);
            let of_partitions = |count| vec![(partition.clone(), u64::from(count))];
            let rows_of = rows_of.iter().map(|(output, count)| {
                let rows = rows(*output, *count).rows.remove(0);
                OutputRows { of_partitions: of_partitions(*count), ..rows }
            });
            let rows = rows_of.collect();
            Processed { rows, progress: [(partition, covered)].into_iter().collect(), ..Processed::default() }
        };
        let parts = [part(0, 0, &[(0, 3)]), part(0, 1, &[(1, 2)]), part(1, 0, &[(0, 1), (1, 5)])];
        let mut open = Open::new(routes());
        parts.into_iter().for_each(|part| open.append(part));
        let batch = open.close("p");
        let counted = |number| {
            let counts = &batch.progress.get(&Partition::new("events", number)).unwrap().counts;
            (counts.rows, counts.storages.iter().map(|(name, rows)| (name.as_str(), *rows)).collect::<Vec<_>>())
        };
        assert_eq!([counted(0), counted(1)], [(13, vec![("few", 9), ("many", 4)]), (2, vec![("few", 2)])]);
        let written: u64 = batch.blocks.iter().map(|(_, block)| block.rows).sum();
        assert_eq!(written, 15);
    }

    #[test]
    fn a_batch_is_full_when_it_is_for_one_storage() {
        let parts = || vec![rows(0, 3), rows(1, 1), rows(1, 5), rows(0, 3)];
        let by_rows = StorageLimits { rows_max: 4, ..NO_LIMITS };
        assert_eq!(filled(by_rows, parts()), [vec![3, 3, 1], vec![5]], "rows of both outputs count");
        let by_bytes = StorageLimits { bytes_max: 9, ..NO_LIMITS };
        assert_eq!(filled(by_bytes, parts()), [vec![3, 3, 6]]);
        assert_eq!(filled(NO_LIMITS, parts()), Vec::<Vec<u64>>::new());
    }
}
