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

use super::Faults;
use super::processor::{Brokers, Coordinator, Processor, Table};
use super::source::{End, SELECTED, Source};
use super::world::{Effects, Kind, STORAGES, State, World, exists, goes_to, kind, name};

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
        let mut lives = 0;
        loop {
            lives += 1;
            if live(&world).await == End::Stopped {
                break;
            }
            let mut state = world.lock();
            state.note("crash".into());
            state.abandoned += 1;
            state.assignments.clear();
        }
        let mut state = world.lock();
        let mut violations = std::mem::take(&mut state.violations);
        violations.extend(account(&state));
        Outcome { log: std::mem::take(&mut state.log), violations, lives, abandoned: state.abandoned }
    })
}

async fn live(world: &World) -> End {
    let (events, received) = mpsc::unbounded_channel();
    let pipelines = world.lock().of.len();
    let (branches, feed) =
        fan_out(received, Coordinator(world.clone()), (0..pipelines).map(|of| taker(of, pipelines)).collect());
    let mut tasks = vec![tokio::spawn(feed)];
    for (of, branch) in branches.into_iter().enumerate() {
        tasks.push(tokio::spawn(pipeline(world, of, branch.share).run(branch.events)));
    }
    let end = Source::new(world.clone(), events).live().await;
    for task in tasks {
        if end == End::Stopped || task.is_finished() {
            task.await.expect("the pipeline does not panic");
        } else {
            task.abort();
            let _ = task.await;
        }
    }
    end
}

/// One that is alone takes what the source has selected.
fn taker(of: usize, pipelines: usize) -> Taker {
    let (header, value) = SELECTED;
    let rule = Rule::Header { name: header.into(), values: vec![value.to_vec()] };
    Taker { pipeline: name(of), select: (pipelines > 1).then(|| Select::new(vec![rule])) }
}

fn pipeline(world: &World, of: usize, share: Share<Coordinator>) -> Pipeline<Processor, Table, Coordinator, Brokers> {
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
            publisher: Brokers(world.clone(), of).into(),
            commit_log: Some(CommitLog {
                topic: "commit-log".into(),
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
            let said = effects.commit_log.get(&partition).copied().unwrap_or(0);
            if said != end {
                wrong.push(format!("the commit log says {said} of {end} for partition {partition}"));
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
