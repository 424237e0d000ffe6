//! The simulated processor, ClickHouse and brokers.

use std::sync::Arc;
use std::time::Duration;

use tidegate::digest::Digest;
use tidegate::error::Remedy;
use tidegate::message::MessageBatch;
use tidegate::offset::{Assignment, Partition};
use tidegate::outcome::{
    Answered, DeadLetter, ModuleName, OutputRows, Processed, Reason, Rejection, Replacement, Rewrite,
};
use tidegate::processor::Process;
use tidegate::publish::{Publish, PublishError, Record};
use tidegate::recall::{Recall, RecallError, Recalled};
use tidegate::route::{Route, Routes};
use tidegate::sink::{Block, Cost, Insert, InsertError};
use tidegate::source::{Acknowledged, Commit, CommitError, GroupPosition, LastCommit, PositionError};
use tokio::time::{Instant, sleep};

use super::world::{EVENS, Kind, STORAGES, World, goes_to, kind, name};

/// The processor of one pipeline, and so on: what is a pipeline's has its number.
///
/// Rows are 21 bytes: partition, offset, the stay in which the message was read, and the module's version,
/// little-endian. Modules of odd and of even versions have other columns. Each storage has an output of its name.
pub struct Processor(pub World, pub usize);

const ROW_BYTES: usize = 21;

pub const COMMIT_LOG: &str = "commit-log";

/// One storage of a pipeline, by its place in [`STORAGES`].
pub struct Table(pub World, pub usize, pub usize);

/// The group coordinator.
pub struct Coordinator(pub World);

/// The brokers of all topics written to, as a pipeline of a process sees them.
#[derive(Clone)]
pub struct Brokers(pub World, pub usize, pub u32);

/// The commit log of a pipeline, as it is read.
pub struct Log(pub World, pub usize);

/// So late may come what was given up.
const LATE: Duration = Duration::from_secs(20);

impl Process for Processor {
    fn process(&self, batch: MessageBatch) -> impl Future<Output = Answered> + Send + 'static {
        let pause = Duration::from_millis(self.0.pick(0..20));
        if self.0.chance(|faults| faults.swap) {
            let version = &mut self.0.lock().of[self.1].version;
            *version = version.wrapping_add(1);
        }
        let version = self.0.lock().of[self.1].version;
        async move {
            sleep(pause).await;
            Answered {
                parts: parts(&batch).iter().map(|part| outcomes(part, version)).collect(),
                routes: routes(version).into(),
            }
        }
    }
}

fn routes(version: u8) -> Routes {
    let route = |(sink, name): (usize, &&str)| {
        let name = (*name).to_owned();
        Route { output: name.clone(), storage: name, sink, columns: columns(version) }
    };
    let storages: Vec<_> = STORAGES.iter().enumerate().map(route).collect();
    Routes { outputs: (0..storages.len()).map(|at| vec![at]).collect(), storages }
}

fn columns(version: u8) -> Arc<[String]> {
    [format!("of version {}", version % 2)].into()
}

/// Each rewrite ends a part.
fn parts(batch: &MessageBatch) -> Vec<MessageBatch> {
    let rewrites = batch.iter().enumerate().filter(|(_, message)| kind(message.offset) == Kind::Rewrite);
    let mut ends: Vec<usize> = rewrites.map(|(at, _)| at + 1).chain([batch.len()]).collect();
    ends.dedup();
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(&ends).map(|(start, end)| batch.part(start..*end)).collect()
}

fn outcomes(batch: &MessageBatch, version: u8) -> Processed {
    let outputs = 0..STORAGES.len();
    let mut rows: Vec<_> = outputs.map(|output| OutputRows { output, ..OutputRows::default() }).collect();
    let mut processed = Processed { progress: batch.progress(), ..Processed::default() };
    for message in batch.iter() {
        let covered = processed.progress.get_mut(message.partition).expect("it is in the batch");
        let (counts, stay) = (&mut covered.counts, covered.assignment);
        let (number, offset) = (message.partition.number, message.offset);
        match kind(offset) {
            Kind::Row => {
                counts.inserted += 1;
                for rows in rows.iter_mut().filter(|rows| goes_to(rows.output, offset)) {
                    rows.data.extend(number.to_le_bytes());
                    rows.data.extend(offset.to_le_bytes());
                    rows.data.extend(stay.0.to_le_bytes());
                    rows.data.push(version);
                    rows.ends.push(rows.data.len() as u32);
                    rows.of_partitions.push((message.partition.clone(), 1));
                }
            }
            Kind::Skip => counts.skipped += 1,
            Kind::Unselected => panic!("the processor sees {number}@{offset}, which is not selected"),
            Kind::Replacement => {
                counts.replacements += 1;
                let key = format!("{number}:{offset}").into_bytes();
                processed.replacements.push(Replacement { key, value: Vec::new() });
            }
            Kind::Rewrite => {
                counts.rewrites += 1;
                let partition = message.partition.clone();
                let columns = vec![("partition".into(), "partition".into())];
                let predicate = format!("offset < {offset}");
                processed.rewrites.push(Rewrite { output: 0, partition, offset, columns, predicate });
            }
            Kind::Reject => {
                counts.dead_letters += 1;
                let rejection = Rejection::new(Reason::Invalid, "of this kind");
                let module = ModuleName { name: "simulated".into(), version: "1".into(), digest: Digest::of(b"") };
                processed.dead_letters.push(DeadLetter::of(&message, rejection, module.into()));
            }
        }
    }
    processed.rows = rows;
    processed
}

impl Insert for Table {
    fn storage(&self) -> &str {
        STORAGES[self.2]
    }

    async fn insert(&self, block: &Block, attempt: u32) -> Result<(), InsertError> {
        let what = format!("insert of {} rows into {}, attempt {attempt},", block.rows, self.storage());
        self.statement(&what, || self.take(block)).await
    }

    async fn rewrite(&self, rewrite: &Rewrite, _number: usize) -> Result<Cost, InsertError> {
        assert_ne!(self.2, EVENS, "rewrites are for the other storage");
        let Rewrite { partition, offset, .. } = rewrite;
        self.0.lock().begin_rewrite(self.1, partition.number, *offset);
        let done = || self.0.lock().end_rewrite(self.1, partition.number, *offset);
        self.statement(&format!("rewrite of {partition}@{offset}"), done).await?;
        Ok(Cost::default())
    }
}

impl Table {
    /// A statement that may stall, fail, or have its effect and fail.
    async fn statement(&self, what: &str, effect: impl FnOnce()) -> Result<(), InsertError> {
        let world = &self.0;
        sleep(Duration::from_millis(world.pick(1..50))).await;
        if world.chance(|faults| faults.insert_stalls) {
            world.log(format!("{what} stalls"));
            sleep(Duration::from_secs(60)).await;
        }
        let failure = |message: &str| InsertError { message: message.into(), remedy: Remedy::Retry, code: None };
        if world.chance(|faults| faults.insert_fails) {
            world.log(format!("{what} fails"));
            return Err(failure("refused"));
        }
        effect();
        if world.chance(|faults| faults.insert_lies) {
            world.log(format!("{what} is done and answers with an error"));
            return Err(failure("connection reset"));
        }
        Ok(())
    }

    fn take(&self, block: &Block) {
        let rows = uncompressed(&block.body);
        assert_eq!(rows.len() as u64, block.raw_bytes, "a block says how long it is");
        assert_eq!(rows.len() as u64, block.rows * ROW_BYTES as u64, "a block says how many rows it has");
        let mut state = self.0.lock();
        state.note(format!("insert of {} rows into {}", block.rows, self.storage()));
        if !state.of[self.1].tokens.insert(block.token.clone()) {
            state.note("its token is known, dropped".into());
            return;
        }
        for row in rows.chunks_exact(ROW_BYTES) {
            let partition = i32::from_le_bytes(row[..4].try_into().expect("4 bytes"));
            let offset = i64::from_le_bytes(row[4..12].try_into().expect("8 bytes"));
            let stay = u64::from_le_bytes(row[12..20].try_into().expect("8 bytes"));
            assert_eq!(block.columns, columns(row[20]), "a block has the columns of its rows");
            state.write((self.1, self.2), partition, offset, Assignment(stay));
        }
    }
}

/// Undoes ClickHouse's compressed blocks: 16 bytes of checksum, method, two sizes, LZ4.
fn uncompressed(mut body: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    while !body.is_empty() {
        let size = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().expect("4 bytes")) as usize;
        let (compressed, plain) = (size(17), size(21));
        raw.extend(lz4_flex::block::decompress(&body[25..16 + compressed], plain).expect("an LZ4 block"));
        body = &body[16 + compressed..];
    }
    raw
}

impl Commit for Coordinator {
    async fn commit(&self, positions: &[GroupPosition]) -> Result<Acknowledged, CommitError> {
        let world = &self.0;
        sleep(Duration::from_millis(world.pick(1..10))).await;
        let error = || CommitError { positions: "simulated".into(), cause: "coordinator loading".into() };
        if world.chance(|faults| faults.commit_fails / 2.0) {
            world.log("commit refused".into());
            return Err(error());
        }
        let mut acknowledged = Acknowledged::default();
        {
            let mut state = world.lock();
            for GroupPosition { partition, assignment, position, note } in positions {
                if state.assignments.get(&partition.number) != Some(assignment) {
                    acknowledged.abandoned.push(partition.clone());
                    continue;
                }
                state.commit(partition, *position, *assignment, note.clone());
                acknowledged.taken.push(partition.clone());
            }
        }
        if world.chance(|faults| faults.commit_fails / 2.0) {
            world.log("commit taken and answered with an error".into());
            return Err(error());
        }
        Ok(acknowledged)
    }

    async fn committed(&self, partitions: &[Partition]) -> Result<Vec<Option<LastCommit>>, PositionError> {
        let world = &self.0;
        sleep(Duration::from_millis(world.pick(1..10))).await;
        if world.chance(|faults| faults.commit_fails / 2.0) {
            return Err(PositionError { group: "simulated".into(), cause: "coordinator loading".into() });
        }
        let state = world.lock();
        Ok(partitions.iter().map(|partition| state.committed.get(&partition.number).cloned()).collect())
    }

    fn holds(&self, partition: &Partition, assignment: Assignment) -> bool {
        self.0.lock().assignments.get(&partition.number) == Some(&assignment)
    }
}

impl Publish for Brokers {
    async fn publish(&self, record: Record) -> Result<(), PublishError> {
        let world = &self.0;
        sleep(Duration::from_millis(world.pick(1..5))).await;
        let error = PublishError { topic: record.topic.clone(), cause: "timed out".into(), hold: false };
        if world.chance(|faults| faults.publish_fails / 2.0) {
            world.log(format!("record for {} lost", record.topic));
            return Err(error);
        }
        if &*record.topic == COMMIT_LOG && world.chance(|faults| faults.publish_fails / 2.0) {
            let (brokers, late) = (self.clone(), world.pick(0..LATE.as_millis() as u64));
            world.log(format!("record for {} comes {late} ms late", record.topic));
            tokio::spawn(async move {
                sleep(Duration::from_millis(late)).await;
                brokers.take(&record);
            });
            return Err(error);
        }
        self.take(&record);
        if world.chance(|faults| faults.publish_fails / 2.0) {
            world.log(format!("record for {} published and not acknowledged", record.topic));
            return Err(error);
        }
        Ok(())
    }
}

impl Recall for Log {
    async fn recall(&self, group: &str, partitions: &[Partition]) -> Result<Vec<Recalled>, RecallError> {
        let Self(world, of) = self;
        assert_eq!(group, name(*of), "each pipeline recalls what it said itself");
        if world.chance(|faults| faults.log_fails) {
            let dark = Duration::from_millis(world.pick(0..30_000));
            world.log(format!("the commit log cannot be read for {dark:?}"));
            world.lock().log_dark_until = Some(Instant::now() + dark);
        }
        // Whatever is said from now on need not be known.
        let recalled = {
            let state = world.lock();
            if state.log_dark_until.is_some_and(|until| Instant::now() < until) {
                return Err(RecallError::Log("simulated".into()));
            }
            let last = |partition: &Partition| state.of[*of].believed.get(&partition.number).cloned();
            let recalled = |partition| Recalled { topic_id: Some("id".into()), last: last(partition) };
            partitions.iter().map(recalled).collect()
        };
        sleep(Duration::from_millis(world.pick(1..50))).await;
        Ok(recalled)
    }

    fn epoch(&self, _group: &str, partition: &Partition) -> u64 {
        self.0.lock().of[self.1].believed.get(&partition.number).map_or(0, |record| record.epoch)
    }
}

impl Brokers {
    fn take(&self, record: &Record) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        let mut state = self.0.lock();
        match &*record.topic {
            COMMIT_LOG => {
                let value = record.value.as_deref().expect("a value");
                let key = record.key.as_deref().expect("a key");
                let record = tidegate::commit_log::Record::decode(key, value, None).expect("our own record");
                assert_eq!(record.group, name(self.1), "each pipeline speaks for itself");
                state.say(self.1, self.2, &record);
            }
            "replacements" => {
                let key = text(record.key.as_deref().expect("a key"));
                let (partition, offset) = key.split_once(':').expect("two numbers");
                let at = (partition.parse().expect("a number"), offset.parse().expect("a number"));
                state.replace(self.1, self.2, at.0, at.1);
            }
            _ => {
                let header = |name: &str| {
                    let found = record.headers.iter().find(|(have, _)| have == name);
                    text(&found.expect("a dead letter says where it is from").1).parse::<i64>().expect("a number")
                };
                let at = (header("tidegate-partition") as i32, header("tidegate-offset"));
                state.note(format!("dead letter {}@{}", at.0, at.1));
                *state.of[self.1].dead_letters.entry(at).or_default() += 1;
            }
        }
    }
}
