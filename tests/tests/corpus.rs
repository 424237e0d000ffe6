//! Messages of every topic, whole, spoilt and made up, through the real components. Whatever comes, a message becomes
//! rows, is skipped, is published as a replacement, becomes rewrites, or is rejected as invalid; none of them makes a
//! component trap, run out of time or memory, or answer with what is no row.

#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use tidegate::message::MessageBatch;
use tidegate::offset::Counts;
use tidegate::outcome::{DeadLetter, Reason};
use tidegate::processor::{Engine, Interruption, Isolation};
use tidegate_tests::processors::{self, Given, Processor};
use tidegate_tests::spoilt;

/// Beside the repository, and no part of it: one folder for each topic, with messages as they are sent.
const EXAMPLES: &str = "../shared/fixtures/reference/kafka-schemas/examples";
/// What one call is given, as the source cuts it.
const CALL_BYTES: usize = 256 << 10;
/// Of each processor, more would only repeat the first.
const FAULTS_SHOWN: usize = 5;

/// A component under test, what became of its messages, and what must not have.
struct Subject {
    name: String,
    isolation: Isolation,
    counts: Counts,
    faults: Vec<String>,
}

impl Subject {
    fn new(processor: &Processor, given: &Given, engine: &Engine) -> Self {
        let isolation = given.isolation(&processor.module(engine));
        Self { name: processor.name.clone(), isolation, counts: Counts::default(), faults: Vec::new() }
    }

    fn process(&mut self, what: &str, batch: &MessageBatch, now_ms: i64) {
        let parts = self.isolation.process_at(batch, now_ms).unwrap();
        let mut counts = Counts::default();
        for part in &parts {
            counts.add(&part.progress.counts());
            counts.rows += part.rows.iter().map(|rows| rows.ends.len() as u64).sum::<u64>();
        }
        let guilty = parts
            .iter()
            .flat_map(|part| &part.dead_letters)
            .filter(|letter| letter.rejection.reason != Reason::Invalid);
        self.faults.extend(guilty.map(|letter| format!("{}, {what}: {}", self.name, described(letter))));
        // A call may be cut off because the machine was busy; then its messages pass one by one.
        let failed: Vec<_> =
            self.isolation.take_failures().into_iter().filter(|why| *why != Reason::Deadline).collect();
        if let Some(why) = failed.first() {
            self.faults.push(format!("{}, {what}: {} calls failed, {why} first", self.name, failed.len()));
        }
        if !counts.is_complete() || counts.messages != batch.len() as u64 {
            self.faults.push(format!("{}, {what}: {counts:?} of {} messages", self.name, batch.len()));
        }
        self.counts.add(&counts);
    }
}

fn described(letter: &DeadLetter) -> String {
    let payload = String::from_utf8_lossy(letter.payload.as_deref().unwrap_or_default());
    format!("{}: {}", letter.rejection, payload.chars().take(2000).collect::<String>())
}

/// Hands over the message and its variants in batches that one call takes.
fn each_batch(message: &[u8], given: &Given, mut hand_over: impl FnMut(&MessageBatch)) {
    let mut payloads: Vec<Vec<u8>> = Vec::new();
    let mut bytes = 0;
    spoilt::variants(message, |variant| {
        if bytes + variant.len() > CALL_BYTES || payloads.len() == 1000 {
            hand_over(&given.batch(&payloads));
            payloads.clear();
            bytes = 0;
        }
        bytes += variant.len();
        payloads.push(variant);
    });
    hand_over(&given.batch(&payloads));
}

/// Says what was done even where the test runner keeps the output of tests that pass to itself.
fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn conclude(test: &str, subjects: &[Subject]) {
    let mut sums: Vec<(&str, Counts)> = Vec::new();
    for subject in subjects {
        match sums.iter_mut().find(|(name, _)| *name == subject.name) {
            Some((_, sum)) => sum.add(&subject.counts),
            None => sums.push((&subject.name, subject.counts.clone())),
        }
    }
    for (name, sum) in &sums {
        let Counts { messages, rows, skipped, dead_letters, .. } = sum;
        say(&format!(
            "{test}: {name:<16} {messages:>7} messages, {rows:>7} rows, {skipped:>6} skipped, {dead_letters:>6} invalid"
        ));
    }
    let faults = subjects.iter().flat_map(|subject| subject.faults.iter().take(FAULTS_SHOWN));
    let faults: Vec<_> = faults.map(String::as_str).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    for (name, sum) in &sums {
        assert!(sum.messages > 0, "{name} was given nothing");
    }
}

#[test]
fn fixtures_and_all_their_variants_are_taken_or_invalid() {
    let engine = Engine::new(Interruption::Epoch).unwrap();
    let mut subjects = Vec::new();
    for processor in processors::all() {
        let mut with_usual_params = Subject::new(&processor, &Given::default(), &engine);
        for fixture in processor.fixtures() {
            let given = &fixture.given;
            let run = |subject: &mut Subject| {
                each_batch(&fixture.payload, given, |batch| subject.process(&fixture.name, batch, given.now_ms));
            };
            if given.params == Given::default().params {
                run(&mut with_usual_params);
            } else {
                let mut subject = Subject::new(&processor, given, &engine);
                run(&mut subject);
                subjects.push(subject);
            }
        }
        assert!(with_usual_params.counts.rows > 0 || processor.schema().is_empty(), "{}: no row", processor.name);
        subjects.push(with_usual_params);
    }
    conclude("fixtures", &subjects);
}

#[test]
fn examples_of_every_topic_and_all_their_variants_are_taken_or_invalid() {
    let folder = processors::repository().join(EXAMPLES);
    if !folder.exists() {
        assert!(std::env::var_os("CI").is_none(), "{} is not there", folder.display());
        say(&format!(
            "examples: {} is not there, so processors are tested with their own fixtures only",
            folder.display()
        ));
        return;
    }
    let examples: Vec<(String, Vec<u8>)> = examples(&folder);
    assert!(examples.len() > 50, "only {} examples were found", examples.len());
    let engine = Engine::new(Interruption::Epoch).unwrap();
    // A clock before all of them: nothing is skipped because it is old.
    let given = Given { now_ms: 1_500_000_000_000, ..Given::default() };
    let mut subjects: Vec<_> =
        processors::all().iter().map(|processor| Subject::new(processor, &given, &engine)).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = subjects.len().div_ceil(threads);
    std::thread::scope(|scope| {
        for subjects in subjects.chunks_mut(share) {
            let (examples, given) = (&examples, &given);
            scope.spawn(move || {
                for (name, message) in examples {
                    each_batch(message, given, |batch| {
                        subjects.iter_mut().for_each(|subject| subject.process(name, batch, given.now_ms));
                    });
                }
            });
        }
    });
    conclude("examples", &subjects);
}

/// Name and content of every file below.
fn examples(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![folder.into()];
    while let Some(inner) = folders.pop() {
        let (more, files): (Vec<_>, Vec<_>) = processors::files(&inner).into_iter().partition(|path| path.is_dir());
        folders.extend(more);
        let name = |file: &PathBuf| file.strip_prefix(folder).unwrap().display().to_string();
        found.extend(files.iter().map(|file| (name(file), fs::read(file).unwrap())));
    }
    found
}

#[test]
fn made_up_messages_are_taken_or_invalid() {
    let engine = Engine::new(Interruption::Epoch).unwrap();
    let given = Given::default();
    let subjects = processors::all().into_iter().map(|processor| {
        let taken = processor.fixtures().into_iter().filter(|fixture| fixture.expected["outcome"] != "rejected");
        let taken: Vec<_> = taken.map(|fixture| fixture.payload).collect();
        let subject = RefCell::new(Subject::new(&processor, &given, &engine));
        let mut runner = TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
        let batch = proptest::collection::vec(spoilt::made_up(&taken), 64);
        let done = runner.run(&batch, |messages| {
            let mut subject = subject.borrow_mut();
            subject.process("made up", &given.batch(&messages), given.now_ms);
            match std::mem::take(&mut subject.faults).into_iter().next() {
                None => Ok(()),
                Some(fault) => Err(TestCaseError::fail(fault)),
            }
        });
        let mut subject = subject.into_inner();
        // The reason shows the smallest message that was found; printed as bytes it would only be long.
        subject.faults.extend(done.err().map(|error| match error {
            TestError::Fail(reason, _) | TestError::Abort(reason) => reason.to_string(),
        }));
        subject
    });
    conclude("made up", &subjects.collect::<Vec<_>>());
}
