//! What `/status`, `/readyz` and `/livez` say: where every pipeline stands, and what holds it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use serde::Serialize;

use crate::clock::now_ms;
use crate::offset::Partition;
use crate::outcome::ModuleName;

/// The state of the process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Status(Arc<Mutex<BTreeMap<String, State>>>);

/// The state of one pipeline. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PipelineStatus {
    all: Status,
    name: String,
}

/// As `/status` prints it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct State {
    /// `None` until the group has given partitions for the first time, be it none.
    joined: bool,
    module: Option<Module>,
    /// Stages that wait for somebody, and what they say.
    held: BTreeMap<String, Held>,
    partitions: BTreeMap<String, Position>,
    last_error: Option<Told>,
    stopping: bool,
}

#[derive(Clone, Debug, Serialize)]
struct Module {
    name: String,
    version: String,
    digest: String,
}

#[derive(Clone, Debug, Serialize)]
struct Held {
    why: String,
    /// Unix seconds.
    since: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Told {
    text: String,
    /// Unix seconds.
    at: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
struct Position {
    /// Next offset to be read from the topic.
    read: i64,
    /// Next offset after what is written and committed.
    committed: i64,
    /// End of the topic's partition, as the broker said last.
    end: Option<i64>,
    #[serde(skip)]
    moved: Option<Instant>,
}

impl Status {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn pipeline(&self, name: &str) -> PipelineStatus {
        self.lock().entry(name.to_owned()).or_default();
        PipelineStatus { all: self.clone(), name: name.to_owned() }
    }

    pub fn to_json(&self) -> serde_json::Value {
        let pipelines: BTreeMap<_, _> = self.lock().clone();
        serde_json::json!({ "version": env!("CARGO_PKG_VERSION"), "pipelines": pipelines })
    }

    /// Why the process is not ready; empty: it is.
    pub fn not_ready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        for (name, state) in &*self.lock() {
            if !state.joined {
                let why = state.last_error.as_ref().map(|told| format!(": {}", told.text)).unwrap_or_default();
                reasons.push(format!("pipeline {name:?} has not joined its group yet{why}"));
            }
            if state.stopping {
                reasons.push(format!("pipeline {name:?} is stopping"));
            }
            reasons.extend(state.held.iter().map(|(stage, held)| format!("pipeline {name:?}, {stage}: {}", held.why)));
        }
        reasons
    }

    /// Pipelines in which something was read and nothing was settled for longer than `limit`, although nothing holds
    /// them: they are wedged, and only a restart helps.
    pub fn wedged(&self, limit: std::time::Duration) -> Vec<String> {
        let state = self.lock();
        let stuck = |position: &Position| {
            position.read > position.committed && position.moved.is_some_and(|at| at.elapsed() > limit)
        };
        let wedged = state.iter().filter(|(_, state)| state.held.is_empty() && state.partitions.values().any(stuck));
        wedged.map(|(name, _)| name.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, State>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl PipelineStatus {
    /// A stage waits until somebody acts.
    pub fn hold(&self, stage: &str, why: &str) {
        self.change(|state| {
            let held = state.held.entry(stage.to_owned()).or_insert_with(|| Held { why: String::new(), since: now() });
            held.why = why.to_owned();
        });
    }

    pub fn clear(&self, stage: &str) {
        self.change(|state| state.held.remove(stage));
    }

    /// Something failed and is tried again: a sign of life, however long it takes.
    pub fn last_error(&self, text: &str) {
        self.change(|state| state.last_error = Some(Told { text: text.to_owned(), at: now() }));
        self.alive();
    }

    /// Something goes on, though nothing is settled yet.
    pub fn alive(&self) {
        let now = Instant::now();
        self.change(|state| state.partitions.values_mut().for_each(|position| position.moved = Some(now)));
    }

    pub fn module(&self, module: &ModuleName) {
        let ModuleName { name, version, digest } = module.clone();
        self.change(|state| state.module = Some(Module { name, version, digest: digest.hex() }));
    }

    pub fn stopping(&self) {
        self.change(|state| state.stopping = true);
    }

    pub fn assigned<'a>(&self, partitions: impl Iterator<Item = (&'a Partition, i64)>) {
        self.change(|state| {
            state.joined = true;
            for (partition, at) in partitions {
                let position = Position { read: at, committed: at, end: None, moved: Some(Instant::now()) };
                state.partitions.insert(partition.to_string(), position);
            }
        });
    }

    pub fn revoked<'a>(&self, partitions: impl Iterator<Item = &'a Partition>) {
        self.change(|state| {
            for partition in partitions {
                state.partitions.remove(&partition.to_string());
            }
        });
    }

    /// How far a partition was read, and where it ends.
    pub fn read(&self, partition: &Partition, position: i64, end: Option<i64>) {
        self.change(|state| {
            if let Some(at) = state.partitions.get_mut(&partition.to_string()) {
                if at.read == at.committed {
                    at.moved = Some(Instant::now());
                }
                at.read = position;
                at.end = end.or(at.end);
            }
        });
    }

    pub fn committed(&self, partition: &Partition, position: i64) {
        self.change(|state| {
            if let Some(at) = state.partitions.get_mut(&partition.to_string()) {
                at.committed = position;
                at.moved = Some(Instant::now());
            }
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) {
        if let Some(state) = self.all.lock().get_mut(&self.name) {
            change(state);
        }
    }
}

fn now() -> u64 {
    now_ms().unsigned_abs() / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_joined_and_not_held() {
        let status = Status::new();
        let pipeline = status.pipeline("p");
        assert_eq!(status.not_ready(), ["pipeline \"p\" has not joined its group yet"]);
        pipeline.last_error("b:9092: refused");
        assert_eq!(status.not_ready(), ["pipeline \"p\" has not joined its group yet: b:9092: refused"]);
        let partition = Partition::new("events", 3);
        pipeline.assigned([(&partition, 5)].into_iter());
        assert!(status.not_ready().is_empty());
        pipeline.hold("insert into t", "code 60");
        assert_eq!(status.not_ready(), ["pipeline \"p\", insert into t: code 60"]);
        pipeline.clear("insert into t");
        assert!(status.not_ready().is_empty());
    }

    #[test]
    fn wedged_means_read_not_settled_and_not_held() {
        let status = Status::new();
        let pipeline = status.pipeline("p");
        let partition = Partition::new("events", 3);
        pipeline.assigned([(&partition, 5)].into_iter());
        assert!(status.wedged(std::time::Duration::ZERO).is_empty());
        pipeline.read(&partition, 9, Some(12));
        std::thread::yield_now();
        assert_eq!(status.wedged(std::time::Duration::ZERO), ["p"]);
        pipeline.last_error("connection refused, trying again");
        assert!(status.wedged(std::time::Duration::from_secs(60)).is_empty());
        pipeline.hold("insert into t", "code 60");
        assert!(status.wedged(std::time::Duration::ZERO).is_empty());
        pipeline.clear("insert into t");
        pipeline.committed(&partition, 9);
        assert!(status.wedged(std::time::Duration::ZERO).is_empty());
        assert_eq!(status.to_json()["pipelines"]["p"]["partitions"]["events/3"]["end"], 12);
    }
}
