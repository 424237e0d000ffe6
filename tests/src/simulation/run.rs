//! One run: lives of the process until the topic is read to its end, and the account at the end.

use std::time::Duration;

use tidegate::accumulate::Limits;
use tidegate::dead_letter::{self, DeadLetters};
use tidegate::metrics::Metrics;
use tidegate::pipeline::Pipeline;
use tidegate::settle::{CommitLog, Settler};
use tidegate::sink::Sinks;
use tidegate::status::Status;
use tokio::sync::mpsc;

use super::Faults;
use super::processor::{Brokers, Coordinator, Processor, Table};
use super::source::{End, Source};
use super::world::{Kind, State, World, exists, kind};

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
    let pipeline = tokio::spawn(pipeline(world).run(received));
    let end = Source::new(world.clone(), events).live().await;
    match end {
        End::Stopped => pipeline.await.expect("the pipeline does not panic"),
        End::Crash => {
            if pipeline.is_finished() {
                pipeline.await.expect("the pipeline does not panic");
            } else {
                pipeline.abort();
                let _ = pipeline.await;
            }
        }
    }
    end
}

fn pipeline(world: &World) -> Pipeline<Processor, Table, Coordinator, Brokers> {
    let (metrics, status) = (Metrics::new().pipeline("simulated"), Status::new().pipeline("simulated"));
    let sinks = Sinks::new(vec![Table(world.clone()).into()], 2, metrics.clone(), status.clone());
    Pipeline {
        processor: Processor(world.clone()),
        calls_in_flight_max: 4,
        limits: Limits {
            rows_max: 40,
            bytes_max: 1 << 20,
            time_max: Duration::from_millis(100),
            storages: Default::default(),
        },
        sinks,
        settler: Settler {
            committer: Coordinator(world.clone()).into(),
            publisher: Brokers(world.clone()).into(),
            group: "simulated".into(),
            commit_log: Some(CommitLog { topic: "commit-log".into(), heartbeat: Duration::from_secs(10) }),
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

/// At the end every message has its end, and everything says so.
fn account(state: &State) -> Vec<String> {
    let mut wrong = Vec::new();
    let end = state.faults.messages_per_partition;
    for partition in 0..state.faults.partitions {
        for offset in (0..end).filter(|offset| exists(*offset)) {
            let at = (partition, offset);
            if !state.is_settled(partition, offset) {
                wrong.push(format!("message {partition}@{offset} was lost"));
            }
            let rows = state.rows.get(&at).copied().unwrap_or(0);
            if kind(offset) != Kind::Row && rows > 0 {
                wrong.push(format!("message {partition}@{offset} has rows although it is {:?}", kind(offset)));
            }
            if rows > 1 && state.abandoned == 0 {
                wrong.push(format!("message {partition}@{offset} was written {rows} times in a run without a crash"));
            }
            if kind(offset) != Kind::Reject && state.dead_letters.contains_key(&at) {
                wrong.push(format!("message {partition}@{offset} was dead-lettered although it is good"));
            }
        }
        let committed = state.committed.get(&partition).map_or(0, |(position, _)| *position);
        if committed != end {
            wrong.push(format!("partition {partition} is committed up to {committed} of {end}"));
        }
        let said = state.commit_log.get(&partition).copied().unwrap_or(0);
        if said != end {
            wrong.push(format!("the commit log says {said} of {end} for partition {partition}"));
        }
    }
    wrong
}
