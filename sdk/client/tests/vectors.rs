//! Runs the vectors of `vectors/`, which other languages run too.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use tidegate_client::{
    Counts, Fact, Follower, Input, Key, Output, Partition, Record, Report, Token, Wait, WaitInput, WaitOutput, Waiters,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    shows: BTreeSet<u8>,
    #[serde(default)]
    groups: Vec<String>,
    repair_ms: Option<u64>,
    steps: Vec<(u64, String, Vec<String>)>,
}

fn read(file: &str) -> Vec<Case> {
    let path = format!("{}/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let names: BTreeSet<_> = cases.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), cases.len(), "{file} has a name twice");
    cases
}

fn run(case: &Case, mut step: impl FnMut(u64, &str) -> Vec<String>) {
    for (number, (at_ms, input, expected)) in case.steps.iter().enumerate() {
        let found = step(*at_ms, input);
        assert_eq!(&found, expected, "{}: step {}: {input}", case.name, number + 1);
    }
}

#[test]
fn the_follower_does_what_the_vectors_say() {
    for case in read("follower.json") {
        let mut follower = Follower::new(case.groups.clone(), case.repair_ms);
        run(&case, |at_ms, text| match text.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["readable"] => follower.readable().map(Partition::to_string).collect(),
            ["watermark", of] => vec![position(follower.watermark(&partition(of)))],
            _ => follower.handle(input(text), at_ms).iter().map(output).collect(),
        });
    }
}

#[test]
fn the_waiters_do_what_the_vectors_say() {
    for case in read("waiters.json") {
        let mut waiters = Waiters::new(case.repair_ms);
        run(&case, |at_ms, text| waiters.handle(wait_input(text), at_ms).iter().map(wait_output).collect());
    }
}

/// Of the fifteen, these are about the host: truth (1), prefix commits (2) and the order of commit and record (3).
#[test]
fn every_invariant_of_a_follower_is_shown() {
    let cases = [read("follower.json"), read("waiters.json")];
    let shown: BTreeSet<_> = cases.iter().flatten().flat_map(|case| case.shows.clone()).collect();
    assert_eq!(shown, (4..=15).collect());
}

fn partition(text: &str) -> Partition {
    let (topic, number) = text.rsplit_once('/').unwrap();
    Partition::new(topic, number.parse().unwrap())
}

fn token(text: &str) -> Token {
    text.parse().unwrap()
}

fn key(text: &str) -> Key {
    Key::decode(text.as_bytes()).unwrap()
}

fn position(position: Option<i64>) -> String {
    position.map_or("none".to_owned(), |position| position.to_string())
}

fn fact(words: &[&str]) -> Option<Fact> {
    Some(match words {
        ["log-partitions", count] => Fact::LogPartitions(count.parse().unwrap()),
        ["log-end", number] => Fact::LogEnd(number.parse().unwrap()),
        ["record", of, offset, rest @ ..] => Fact::Record(record(&key(of), offset, rest)),
        ["tombstone", of] => Fact::Tombstone(key(of)),
        ["topic", name, id] => Fact::Topic { name: (*name).to_owned(), id: (*id).to_owned() },
        ["committed", of, "none"] => Fact::Committed { key: key(of), position: None },
        ["committed", of, position] => Fact::Committed { key: key(of), position: Some(position.parse().unwrap()) },
        ["ask-failed", of] => Fact::AskFailed(key(of)),
        _ => return None,
    })
}

fn record(Key { topic, partition, group }: &Key, offset: &str, rest: &[&str]) -> Record {
    let named = |name: &str| rest.iter().find_map(|word| word.strip_prefix(name));
    assert_eq!(rest.len(), [named("epoch="), named("topic=")].iter().flatten().count());
    Record {
        topic: topic.clone(),
        partition: *partition,
        group: group.clone(),
        offset: offset.parse().unwrap(),
        epoch: named("epoch=").map_or(0, |epoch| epoch.parse().unwrap()),
        topic_id: named("topic=").map(str::to_owned),
        ..Record::default()
    }
}

fn input(text: &str) -> Input {
    let words: Vec<_> = text.split_whitespace().collect();
    let all = |words: &[&str]| words.iter().map(|word| partition(word)).collect();
    match words.as_slice() {
        ["assigned", rest @ ..] => Input::Assigned(all(rest)),
        ["revoked", rest @ ..] => Input::Revoked(all(rest)),
        ["pause", rest @ ..] => Input::Pause(all(rest)),
        ["resume", rest @ ..] => Input::Resume(all(rest)),
        ["message", message] => {
            let Token { partition, position } = token(message);
            Input::Message { partition, offset: position }
        }
        ["tick"] => Input::Tick,
        words => Input::Fact(fact(words).unwrap_or_else(|| panic!("no input: {text}"))),
    }
}

fn output(output: &Output) -> String {
    match output {
        Output::Deliver { partition, offset } => format!("deliver {partition}@{offset}"),
        Output::Hold { partition, offset } => format!("hold {partition}@{offset}"),
        Output::Drop { partition, offset } => format!("drop {partition}@{offset}"),
        Output::Ask(Key { topic, partition, group }) => format!("ask {topic}:{partition}:{group}"),
        Output::Describe(topic) => format!("describe {topic}"),
        Output::Report(report) => format!("report {}", self::report(report)),
    }
}

fn report(report: &Report) -> String {
    let key = |Key { topic, partition, group }: &Key| format!("{topic}:{partition}:{group}");
    match report {
        Report::Rewound { key: of, from, to } => format!("rewound {} {from} -> {to}", key(of)),
        Report::CommittedBelow { key: of, committed, recorded } => {
            format!("committed-below {} {} < {recorded}", key(of), position(*committed))
        }
        Report::WentBack { partition, offset, expected } => {
            format!("went-back {partition}@{offset} expected {expected}")
        }
    }
}

fn wait_input(text: &str) -> WaitInput {
    let words: Vec<_> = text.split_whitespace().collect();
    match words.as_slice() {
        ["wait", id, of, groups, deadline] => {
            let groups = groups.strip_prefix("groups=").unwrap().split(',').map(str::to_owned).collect();
            let deadline_ms = deadline.strip_prefix("deadline=").unwrap().parse().unwrap();
            WaitInput::Wait { id: id.parse().unwrap(), wait: Wait { token: token(of), groups, deadline_ms } }
        }
        ["cancel", id] => WaitInput::Cancel(id.parse().unwrap()),
        ["tick"] => WaitInput::Tick,
        words => WaitInput::Fact(fact(words).unwrap_or_else(|| panic!("no input: {text}"))),
    }
}

fn wait_output(output: &WaitOutput) -> String {
    match output {
        WaitOutput::Done(id) => format!("done {id}"),
        WaitOutput::TimedOut { id, reached } => {
            let reached = reached.iter().map(|(group, reached)| format!(" {group}={}", position(*reached)));
            format!("timed-out {id}{}", reached.collect::<String>())
        }
        WaitOutput::Ask(Key { topic, partition, group }) => format!("ask {topic}:{partition}:{group}"),
        WaitOutput::Describe(topic) => format!("describe {topic}"),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bytes {
    name: String,
    written: bool,
    key: String,
    value: String,
    header: Option<String>,
    record: Option<Fields>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    topic: String,
    partition: i32,
    group: String,
    offset: i64,
    orig_message_ts: f64,
    received_p99: Option<f64>,
    epoch: u64,
    topic_id: Option<String>,
    counts: Option<CountFields>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CountFields {
    messages: u64,
    inserted: u64,
    rows: u64,
    skipped: u64,
    unselected: u64,
    replacements: u64,
    rewrites: u64,
    dead_letters: u64,
    storages: BTreeMap<String, u64>,
    start: Option<i64>,
}

#[test]
fn the_codec_does_what_the_vectors_say() {
    let path = format!("{}/vectors/codec.json", env!("CARGO_MANIFEST_DIR"));
    let cases: Vec<Bytes> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for case in cases {
        let (key, value) = (bytes(&case.key), bytes(&case.value));
        let header = case.header.as_deref().map(bytes);
        let read = Record::decode(&key, &value, header.as_deref()).ok();
        assert_eq!(read, case.record.map(Fields::record), "{}", case.name);
        if let Some(record) = read.filter(|_| case.written) {
            assert_eq!((record.key().into_bytes(), record.value().into_bytes()), (key, value), "{}", case.name);
        }
    }
}

fn bytes(text: &str) -> Vec<u8> {
    let Some(hex) = text.strip_prefix("hex:") else { return text.as_bytes().to_vec() };
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

impl Fields {
    fn record(self) -> Record {
        let Self { topic, partition, group, offset, orig_message_ts, received_p99, epoch, topic_id, counts } = self;
        let counts = counts.map(CountFields::counts);
        Record { topic, partition, group, offset, orig_message_ts, received_p99, epoch, topic_id, counts }
    }
}

impl CountFields {
    fn counts(self) -> Counts {
        let Self { messages, inserted, rows, skipped, unselected, replacements, .. } = self;
        let Self { rewrites, dead_letters, storages, start, .. } = self;
        Counts { messages, inserted, rows, skipped, unselected, replacements, rewrites, dead_letters, storages, start }
    }
}
