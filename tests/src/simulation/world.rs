//! What lies outside the process: the topic's messages, the table, the brokers. It survives crashes and checks, at
//! every commit and every record, that what is claimed is true.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tidegate::offset::{Assignment, Partition};
use tidegate::source::CommitNote;
use tokio::time::Instant;

use super::Faults;

/// Shared by the simulated source, sink, committer and publisher.
#[derive(Clone)]
pub struct World(Arc<Mutex<State>>);

/// The state of everything outside, and the log of what happened to it.
pub struct State {
    pub random: StdRng,
    pub faults: Faults,
    pub started: Instant,
    pub log: Vec<String>,
    /// Rows in the table: how often each message was written.
    pub rows: BTreeMap<(i32, i64), u32>,
    /// Tokens that the table has seen: the same one again is dropped, as in a table that deduplicates.
    pub tokens: BTreeSet<String>,
    pub dead_letters: BTreeMap<(i32, i64), u32>,
    pub replacements: BTreeMap<(i32, i64), u32>,
    /// Rewrites that were carried out, and the last that was begun, by partition.
    pub rewrites: BTreeMap<(i32, i64), u32>,
    pub rewrite_last: BTreeMap<i32, i64>,
    pub committed: BTreeMap<i32, (i64, Option<CommitNote>)>,
    /// Highest offset that the commit log named, by partition.
    pub commit_log: BTreeMap<i32, i64>,
    /// The stay that each partition is in; none while it is with nobody.
    pub assignments: BTreeMap<i32, Assignment>,
    pub assignment_last: u64,
    /// Of the module that processes now.
    pub version: u8,
    /// Crashes and revocations whose drain did not end in time: after these, rows may be there twice.
    pub abandoned: u32,
    pub violations: Vec<String>,
}

/// What a simulated message asks for; a function of its offset, so that both sides know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Row,
    Skip,
    /// The pipeline does not read it.
    Unselected,
    Replacement,
    Rewrite,
    Reject,
}

impl World {
    pub fn new(seed: u64, faults: Faults) -> Self {
        let state = State {
            random: StdRng::seed_from_u64(seed),
            faults,
            started: Instant::now(),
            log: Vec::new(),
            rows: BTreeMap::new(),
            tokens: BTreeSet::new(),
            dead_letters: BTreeMap::new(),
            replacements: BTreeMap::new(),
            rewrites: BTreeMap::new(),
            rewrite_last: BTreeMap::new(),
            committed: BTreeMap::new(),
            commit_log: BTreeMap::new(),
            assignments: BTreeMap::new(),
            assignment_last: 0,
            version: 0,
            abandoned: 0,
            violations: Vec::new(),
        };
        Self(Arc::new(Mutex::new(state)))
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no thread of a simulation panics while it holds the world")
    }

    pub fn chance(&self, of: impl Fn(&Faults) -> f64) -> bool {
        let mut state = self.lock();
        let chance = of(&state.faults);
        chance > 0.0 && state.random.random_bool(chance)
    }

    pub fn pick(&self, from: std::ops::Range<u64>) -> u64 {
        self.lock().random.random_range(from)
    }

    pub fn log(&self, text: String) {
        self.lock().note(text);
    }
}

impl State {
    pub fn note(&mut self, text: String) {
        let at = self.started.elapsed().as_millis();
        self.log.push(format!("{at:>8} ms  {text}"));
    }

    fn violate(&mut self, text: String) {
        self.note(format!("VIOLATION {text}"));
        self.violations.push(text);
    }

    /// A commit of a position. Everything before it must have its end, and its stay must be the present one.
    pub fn commit(&mut self, partition: &Partition, position: i64, assignment: Assignment, note: CommitNote) {
        let number = partition.number;
        self.note(format!("commit {partition}@{position}"));
        if self.assignments.get(&number) != Some(&assignment) {
            self.violate(format!("{partition}@{position} committed for a stay that is over"));
        }
        let before = self.committed.get(&number).map_or(0, |(position, _)| *position);
        if position < before {
            self.violate(format!("{partition} committed back from {before} to {position}"));
        }
        self.check_settled(partition, position, "committed");
        self.committed.insert(number, (position, Some(note)));
    }

    /// A commit-log record. It must not run ahead of the commit.
    pub fn say(&mut self, partition: &Partition, offset: i64) {
        self.note(format!("commit log {partition}@{offset}"));
        let committed = self.committed.get(&partition.number).map_or(0, |(position, _)| *position);
        if offset > committed {
            self.violate(format!("the commit log says {partition}@{offset}, committed is {committed}"));
        }
        self.check_settled(partition, offset, "in the commit log");
        let said = self.commit_log.entry(partition.number).or_default();
        *said = offset.max(*said);
    }

    /// A replacement may not overtake the rows before it.
    pub fn replace(&mut self, partition: i32, offset: i64) {
        self.note(format!("replacement of {partition}@{offset}"));
        self.check_rows_before("replacement", partition, offset);
        *self.replacements.entry((partition, offset)).or_default() += 1;
    }

    /// A row. Rewrites before it must be done: they would see it. When its stay is over, the next owner does them and
    /// then writes the row again.
    pub fn write(&mut self, partition: i32, offset: i64, stay: Assignment) {
        let mut before = (0..offset).filter(|before| kind(*before) == Kind::Rewrite && exists(*before));
        if self.assignments.get(&partition) == Some(&stay)
            && let Some(open) = before.find(|before| !self.rewrites.contains_key(&(partition, *before)))
        {
            self.violate(format!("row {partition}@{offset} before the rewrite of {open}"));
        }
        *self.rows.entry((partition, offset)).or_default() += 1;
    }

    /// A rewrite sees the rows before it, and is not begun again behind a later one: it would undo what that did.
    pub fn begin_rewrite(&mut self, partition: i32, offset: i64) {
        self.note(format!("rewrite of {partition}@{offset} begins"));
        self.check_rows_before("rewrite", partition, offset);
        let last = self.rewrite_last.insert(partition, offset).unwrap_or(0);
        if last > offset {
            self.violate(format!("rewrite {partition}@{offset} begins again after that of {last}"));
        }
    }

    pub fn end_rewrite(&mut self, partition: i32, offset: i64) {
        self.note(format!("rewrite of {partition}@{offset} done"));
        *self.rewrites.entry((partition, offset)).or_default() += 1;
    }

    fn check_rows_before(&mut self, what: &str, partition: i32, offset: i64) {
        let mut before = (0..offset).filter(|before| kind(*before) == Kind::Row && exists(*before));
        if let Some(missing) = before.find(|before| !self.rows.contains_key(&(partition, *before))) {
            self.violate(format!("{what} {partition}@{offset} before the row of {missing}"));
        }
    }

    fn check_settled(&mut self, partition: &Partition, position: i64, what: &str) {
        let open = (0..position).find(|offset| !self.is_settled(partition.number, *offset));
        if let Some(offset) = open {
            self.violate(format!("{partition}@{position} {what}, and message {offset} has no end"));
        }
    }

    pub fn is_settled(&self, partition: i32, offset: i64) -> bool {
        let at = (partition, offset);
        !exists(offset)
            || match kind(offset) {
                Kind::Row => self.rows.contains_key(&at),
                Kind::Skip | Kind::Unselected => true,
                Kind::Replacement => self.replacements.contains_key(&at),
                Kind::Rewrite => self.rewrites.contains_key(&at),
                Kind::Reject => self.dead_letters.contains_key(&at),
            }
    }
}

/// A few offsets are missing, as after compaction.
pub fn exists(offset: i64) -> bool {
    offset % 37 != 11
}

pub fn kind(offset: i64) -> Kind {
    match offset % 10 {
        3 => Kind::Skip,
        // A stretch of them is longer than a bite of the source.
        _ if (60..72).contains(&offset) => Kind::Unselected,
        4 => Kind::Unselected,
        6 if offset % 20 == 6 => Kind::Replacement,
        5 if offset % 20 == 15 => Kind::Rewrite,
        8 if offset % 30 == 8 => Kind::Reject,
        _ => Kind::Row,
    }
}
