//! One run: lives of the process until the topic is read to its end, and the account at the end.

use std::time::Duration;

use tidegate::accumulate::Limits;
use tidegate::dead_letter::{self, DeadLetters};
use tidegate::fan_out::{Taker, fan_out};
use tidegate::metrics::Metrics;
use tidegate::pipeline::Pipeline;
use tidegate::select::{Rule, Select};
use tidegate::settle::{CommitLog, Settler};
use tidegate::share::Share;
use tidegate::sink::Sinks;
use tidegate::status::Status;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Faults;
use super::processor::{Brokers, COMMIT_LOG, Coordinator, Log, Processor, Table};
use super::source::{End, SELECTED, Source};
use super::world::{Effects, Kind, STORAGES, State, World, exists, goes_to, kind, name};

/// How long a process lives on that is taken for dead; heartbeats come more often.
const LINGER_MS: u64 = 30_000;
/// After that nothing of an earlier process is on its way any more.
pub const QUIET: Duration = Duration::from_secs(70);
const SET_BACKS_MAX: u32 = 3;

/// What a run left behind.
pub struct Outcome {
    /// Everything that happened, with its time.
    pub log: Vec<String>,
    /// What must not happen and did; empty in a right program.
    pub violations: Vec<String>,
    pub lives: u32,
    /// Drains that did not end in time, and crashes.
    pub abandoned: u32,
}

/// Runs the pipeline on a topic with `faults`, drawn from `seed`.
pub fn run(seed: u64, faults: Faults) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without threads").block_on(async {
        let world = World::new(seed, faults);
        let mut before = JoinSet::new();
        while let Some(process) = live(&world).await {
            {
                let mut state = world.lock();
                state.note("crash".into());
                state.abandoned += 1;
                state.assignments.clear();
            }
            if world.chance(|faults| faults.linger) {
                before.spawn(process.linger(Duration::from_millis(world.pick(0..LINGER_MS))));
            }
            if world.chance(|faults| faults.set_back) && world.lock().set_backs < SET_BACKS_MAX {
                set_back(&world, &mut before).await;
            }
        }
        before.join_all().await;
        sleep(QUIET).await;
        let mut state = world.lock();
        let mut violations = std::mem::take(&mut state.violations);
        violations.extend(account(&state));
        Outcome { log: std::mem::take(&mut state.log), violations, lives: state.life, abandoned: state.abandoned }
    })
}

/// Epochs tell what was said before a set-back from what is said after it. Two of them in a row they only tell apart if the
/// processes from before the first are gone by the second, with all that they said.
async fn set_back(world: &World, before: &mut JoinSet<()>) {
    if world.lock().set_backs > 0 {
        before.shutdown().await;
        sleep(QUIET).await;
    }
    world.lock().set_back();
}

/// A process that was taken for dead.
struct Process {
    /// While it is there, the pipelines do not end.
    _source: Source,
    tasks: JoinSet<()>,
}

impl Process {
    async fn linger(self, time: Duration) {
        sleep(time).await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            ended.expect("the pipeline does not panic");
        }
    }
}

/// None when it has ended well.
async fn live(world: &World) -> Option<Process> {
    let (events, received) = mpsc::unbounded_channel();
    let (pipelines, life) = {
        let mut state = world.lock();
        state.life += 1;
        (state.of.len(), state.life)
    };
    let (branches, feed) =
        fan_out(received, Coordinator(world.clone()), (0..pipelines).map(|of| taker(of, pipelines)).collect());
    let mut tasks = JoinSet::new();
    tasks.spawn(feed);
    for (of, branch) in branches.into_iter().enumerate() {
        tasks.spawn(pipeline(world, of, life, branch.share).run(branch.events));
    }
    let mut source = Source::new(world.clone(), events);
    if source.live().await == End::Crash {
        return Some(Process { _source: source, tasks });
    }
    drop(source);
    // Panics if a pipeline does.
    tasks.join_all().await;
    None
}

/// One that is alone takes what the source has selected.
fn taker(of: usize, pipelines: usize) -> Taker {
    let (header, value) = SELECTED;
    let rule = Rule::Header { name: header.into(), values: vec![value.to_vec()] };
    Taker { pipeline: name(of), select: (pipelines > 1).then(|| Select::new(vec![rule])) }
}

fn pipeline(
    world: &World,
    of: usize,
    life: u32,
    share: Share<Coordinator>,
) -> Pipeline<Processor, Table, Coordinator, Brokers, Log> {
    let (metrics, status) = (Metrics::new().pipeline("simulated"), Status::new().pipeline("simulated"));
    let storages = (0..STORAGES.len()).map(|storage| Table(world.clone(), of, storage).into()).collect();
    let sinks = Sinks::new(storages, 2, metrics.clone(), status.clone());
    Pipeline {
        name: name(of),
        processor: Processor(world.clone(), of),
        calls_in_flight_max: 4,
        limits: Limits {
            rows_max: 40,
            bytes_max: 1 << 20,
            // Each at a pace of its own.
            time_max: Duration::from_millis(100 + 150 * of as u64),
            storages: Default::default(),
        },
        sinks,
        settler: Settler {
            share: share.into(),
            publisher: Brokers(world.clone(), of, life).into(),
            commit_log: Some(CommitLog {
                topic: COMMIT_LOG.into(),
                log: Log(world.clone(), of),
                group: name(of),
                heartbeat: Duration::from_secs(10),
            }),
            replacements: Some("replacements".into()),
            dead_letters: DeadLetters::new(
                Some("dead-letters".into()),
                Default::default(),
                dead_letter::Limits::default(),
            ),
            metrics: metrics.clone(),
            status,
        },
        metrics,
    }
}

/// At the end every message has its end in every pipeline, and everything says so.
fn account(state: &State) -> Vec<String> {
    let mut all = Vec::new();
    let end = state.faults.messages_per_partition;
    for (of, effects) in state.of.iter().enumerate() {
        let mut wrong = Vec::new();
        for partition in 0..state.faults.partitions {
            for offset in (0..end).filter(|offset| exists(*offset)) {
                wrong.extend(wrong_with(effects, state.abandoned, partition, offset));
            }
            let committed = state.place_of(partition, of);
            if committed != end {
                wrong.push(format!("partition {partition} is committed up to {committed} of {end}"));
            }
            let believed = effects.believed.get(&partition).map_or(0, |record| record.offset);
            if believed != end {
                wrong.push(format!("followers believe in {believed} of {end} of partition {partition}"));
            }
        }
        all.extend(wrong.into_iter().map(|text| format!("{}: {text}", name(of))));
    }
    all
}

fn wrong_with(effects: &Effects, abandoned: u32, partition: i32, offset: i64) -> Vec<String> {
    let (mut wrong, at) = (Vec::new(), (partition, offset));
    if !effects.is_settled(partition, offset) {
        wrong.push(format!("message {partition}@{offset} was lost"));
    }
    for (storage, rows) in effects.rows.iter().enumerate() {
        let (rows, name) = (rows.get(&at).copied().unwrap_or(0), STORAGES[storage]);
        if (kind(offset) != Kind::Row || !goes_to(storage, offset)) && rows > 0 {
            wrong.push(format!("message {partition}@{offset} has rows in {name} although it is {:?}", kind(offset)));
        }
        if rows > 1 && abandoned == 0 {
            wrong.push(format!("message {partition}@{offset} was written {rows} times into {name} without a crash"));
        }
    }
    if kind(offset) != Kind::Reject && effects.dead_letters.contains_key(&at) {
        wrong.push(format!("message {partition}@{offset} was dead-lettered although it is good"));
    }
    wrong
}
