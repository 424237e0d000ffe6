//! What lies outside the process: the topic's messages, the table, the brokers. It survives crashes and checks, at
//! every commit and every record, that what is claimed is true.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tidegate::commit_log::Record;
use tidegate::offset::{Assignment, Counts, Partition};
use tidegate::source::{GroupNote, LastCommit};
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
    /// What each pipeline did.
    pub of: Vec<Effects>,
    pub committed: BTreeMap<i32, LastCommit>,
    /// The stay that each partition is in; none while it is with nobody.
    pub assignments: BTreeMap<i32, Assignment>,
    pub assignment_last: u64,
    /// Which process is the present one.
    pub life: u32,
    /// The first process after the group was set back last.
    pub era: u32,
    pub set_backs: u32,
    /// Until then, the commit log cannot be read.
    pub log_dark_until: Option<Instant>,
    /// Crashes and revocations whose drain did not end in time: after these, rows may be there twice.
    pub abandoned: u32,
    pub violations: Vec<String>,
}

/// What one pipeline did to the world.
#[derive(Default)]
pub struct Effects {
    /// Rows of each storage: how often each message was written.
    pub rows: [BTreeMap<(i32, i64), u32>; STORAGES.len()],
    /// Tokens that the tables have seen: the same one again is dropped, as in a table that deduplicates.
    pub tokens: BTreeSet<String>,
    pub dead_letters: BTreeMap<(i32, i64), u32>,
    pub replacements: BTreeMap<(i32, i64), u32>,
    /// Rewrites that were carried out, and the last that was begun, by partition.
    pub rewrites: BTreeMap<(i32, i64), u32>,
    pub rewrite_last: BTreeMap<i32, i64>,
    /// By partition, the highest record by epoch and offset: what followers believe.
    pub believed: BTreeMap<i32, Record>,
    /// By partition, before which offset every message was once seen to have its end; only a set-back takes that away.
    pub settled: BTreeMap<i32, i64>,
    /// Partitions that were set back, and of which nothing was said since.
    pub unsaid: BTreeSet<i32>,
    /// Of the module that processes now.
    pub version: u8,
}

/// Of every pipeline. The second is for the rows of messages with even offsets.
pub const STORAGES: [&str; 2] = ["table", "evens"];
pub const EVENS: usize = 1;

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
            of: (0..faults.pipelines).map(|_| Effects::default()).collect(),
            committed: BTreeMap::new(),
            assignments: BTreeMap::new(),
            assignment_last: 0,
            life: 0,
            era: 0,
            set_backs: 0,
            log_dark_until: None,
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

    /// A commit of a group's position. Everything before each pipeline's own must have its end, the group is where the
    /// last of them is, and its stay must be the present one.
    pub fn commit(&mut self, partition: &Partition, position: i64, assignment: Assignment, note: GroupNote) {
        self.note(format!("commit {partition}@{position} {:?}", places(&note)));
        if self.assignments.get(&partition.number) != Some(&assignment) {
            self.violate(format!("{partition}@{position} committed for a stay that is over"));
        }
        let committed = LastCommit { position, note };
        for of in 0..self.of.len() {
            let place = committed.place_of(&name(of)).position;
            let before = self.place_of(partition.number, of);
            if place < before {
                self.violate(format!("{partition} of {} committed back from {before} to {place}", name(of)));
            }
            if place < position {
                self.violate(format!("{partition}@{position} committed, and {} is at {place}", name(of)));
            }
            self.check_settled(of, partition, place, "committed");
        }
        self.committed.insert(partition.number, committed);
    }

    /// How far a pipeline is committed.
    pub fn place_of(&self, partition: i32, of: usize) -> i64 {
        self.committed.get(&partition).map_or(0, |last| last.place_of(&name(of)).position)
    }

    /// A commit-log record of a process. It must not run ahead of the commit, and counts what is there; those of processes
    /// from before a set-back may, and then nobody may believe them any more.
    pub fn say(&mut self, of: usize, life: u32, record: &Record) {
        let (partition, offset) = (&Partition::new(record.topic.as_str(), record.partition), record.offset);
        self.note(format!("commit log of {} in life {life} {partition}@{offset} epoch {}", name(of), record.epoch));
        if life >= self.era {
            self.check_said(of, partition, record);
            self.of[of].unsaid.remove(&partition.number);
        }
        let believed = self.of[of].believed.entry(partition.number).or_insert_with(|| record.repeated());
        if (record.epoch, offset) >= (believed.epoch, believed.offset) {
            *believed = record.repeated();
        }
        let believed = believed.offset;
        if !self.of[of].unsaid.contains(&partition.number) {
            self.check_settled(of, partition, believed, "is believed by followers");
        }
    }

    fn check_said(&mut self, of: usize, partition: &Partition, record: &Record) {
        let (offset, committed) = (record.offset, self.place_of(partition.number, of));
        if offset > committed {
            self.violate(format!("the commit log of {} says {partition}@{offset}, committed is {committed}", name(of)));
        }
        self.check_settled(of, partition, offset, "in the commit log");
        if let Some(counts) = &record.counts {
            self.check_counts(of, partition, offset, counts);
        }
    }

    /// Nobody reads, and an operator lets messages be processed again: sets the group back as Kafka's own tool does, which
    /// leaves no note, and removes what is done again.
    pub fn set_back(&mut self) {
        (self.era, self.set_backs) = (self.life + 1, self.set_backs + 1);
        for (partition, last) in &mut self.committed {
            let to = self.random.random_range(0..=last.position);
            *last = LastCommit { position: to, note: GroupNote::default() };
            self.of.iter_mut().for_each(|effects| effects.take_back(*partition, to));
        }
        let positions: Vec<_> = self.committed.iter().map(|(partition, last)| (*partition, last.position)).collect();
        self.note(format!("the group is set back to {positions:?}"));
    }

    /// A replacement may not overtake the rows before it; of a process from before a set-back they may have been removed.
    pub fn replace(&mut self, of: usize, life: u32, partition: i32, offset: i64) {
        self.note(format!("replacement of {partition}@{offset} by {}", name(of)));
        if life >= self.era {
            self.check_rows_before(of, "replacement", partition, offset);
        }
        *self.of[of].replacements.entry((partition, offset)).or_default() += 1;
    }

    /// A row. Rewrites before it must be done: they would see it. When its stay is over, the next owner does them and
    /// then writes the row again.
    pub fn write(&mut self, (of, storage): (usize, usize), partition: i32, offset: i64, stay: Assignment) {
        let mut before = (0..offset).filter(|before| kind(*before) == Kind::Rewrite && exists(*before));
        if self.assignments.get(&partition) == Some(&stay)
            && let Some(open) = before.find(|before| !self.of[of].rewrites.contains_key(&(partition, *before)))
        {
            self.violate(format!("row {partition}@{offset} of {} before the rewrite of {open}", name(of)));
        }
        *self.of[of].rows[storage].entry((partition, offset)).or_default() += 1;
    }

    /// A rewrite sees the rows before it, and is not begun again behind a later one: it would undo what that did.
    pub fn begin_rewrite(&mut self, of: usize, partition: i32, offset: i64) {
        self.note(format!("rewrite of {partition}@{offset} by {} begins", name(of)));
        self.check_rows_before(of, "rewrite", partition, offset);
        let last = self.of[of].rewrite_last.insert(partition, offset).unwrap_or(0);
        if last > offset {
            self.violate(format!("rewrite {partition}@{offset} by {} begins again after that of {last}", name(of)));
        }
    }

    pub fn end_rewrite(&mut self, of: usize, partition: i32, offset: i64) {
        self.note(format!("rewrite of {partition}@{offset} by {} done", name(of)));
        *self.of[of].rewrites.entry((partition, offset)).or_default() += 1;
    }

    fn check_rows_before(&mut self, of: usize, what: &str, partition: i32, offset: i64) {
        let mut before = (0..offset).filter(|before| kind(*before) == Kind::Row && exists(*before));
        if let Some(missing) = before.find(|before| !self.of[of].has_rows(partition, *before)) {
            self.violate(format!("{what} {partition}@{offset} of {} before the row of {missing}", name(of)));
        }
    }

    fn check_settled(&mut self, of: usize, partition: &Partition, position: i64, what: &str) {
        let effects = &mut self.of[of];
        let from = effects.settled.get(&partition.number).copied().unwrap_or(0);
        match (from..position).find(|offset| !effects.is_settled(partition.number, *offset)) {
            Some(offset) => {
                self.violate(format!("{partition}@{position} {what}, and message {offset} has no end in {}", name(of)));
            }
            None => drop(effects.settled.insert(partition.number, position.max(from))),
        }
    }

    /// The range that a record closes has the messages and, storage by storage, the rows that it counts.
    fn check_counts(&mut self, of: usize, partition: &Partition, end: i64, counts: &Counts) {
        let start = counts.start.expect("our records say where their range begins");
        let (first, last) = ((partition.number, start), (partition.number, end));
        let rows = STORAGES.iter().zip(&self.of[of].rows);
        let rows = rows.map(|(storage, rows)| ((*storage).to_owned(), rows.range(first..last).count() as u64));
        let storages: BTreeMap<_, _> = rows.filter(|(_, rows)| *rows > 0).collect();
        // Those that are not selected may be counted with the range after theirs.
        let selected = (start..end).filter(|offset| exists(*offset) && kind(*offset) != Kind::Unselected);
        let messages = selected.count() as u64;
        let held = (messages, storages.values().sum::<u64>(), &storages);
        let counted = (counts.messages - counts.unselected, counts.rows, &counts.storages);
        if held != counted || !counts.is_complete() {
            let text = format!("a record of {} says of {partition} [{start}..{end}): {counts:?}", name(of));
            self.violate(format!("{text}; there are {messages} messages and {storages:?}"));
        }
    }
}

impl Effects {
    /// Everything from `to` on is undone. Tables whose rows are removed forget the tokens of these.
    fn take_back(&mut self, partition: i32, to: i64) {
        let stays = |at: &(i32, i64)| at.0 != partition || at.1 < to;
        self.rows.iter_mut().for_each(|rows| rows.retain(|at, _| stays(at)));
        for of in [&mut self.dead_letters, &mut self.replacements, &mut self.rewrites] {
            of.retain(|at, _| stays(at));
        }
        self.rewrite_last.remove(&partition);
        self.settled.entry(partition).and_modify(|settled| *settled = to.min(*settled));
        self.tokens.clear();
        self.unsaid.insert(partition);
    }

    /// Whether a message is in every storage that it belongs to.
    fn has_rows(&self, partition: i32, offset: i64) -> bool {
        let mut rows = self.rows.iter().enumerate().filter(|(storage, _)| goes_to(*storage, offset));
        rows.all(|(_, rows)| rows.contains_key(&(partition, offset)))
    }

    pub fn is_settled(&self, partition: i32, offset: i64) -> bool {
        let at = (partition, offset);
        !exists(offset)
            || match kind(offset) {
                Kind::Row => self.has_rows(partition, offset),
                Kind::Skip | Kind::Unselected => true,
                Kind::Replacement => self.replacements.contains_key(&at),
                Kind::Rewrite => self.rewrites.contains_key(&at),
                Kind::Reject => self.dead_letters.contains_key(&at),
            }
    }
}

/// Of a simulated pipeline.
pub fn name(of: usize) -> String {
    format!("simulated-{of}")
}

fn places(note: &GroupNote) -> Vec<i64> {
    note.pipelines.values().map(|place| place.position).collect()
}

/// Whether a message that becomes rows has one there.
pub fn goes_to(storage: usize, offset: i64) -> bool {
    storage != EVENS || offset % 2 == 0
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
