//! With `interruption: off` a call that does not return is given up with its thread: its message is dead-lettered, its
//! neighbours are processed, and past a bound of such threads nothing more is tried until one comes back.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use tidegate::message::{MessageBatch, Parts};
use tidegate::offset::{Assignment, Partition};
use tidegate::processor::{Engine, InstanceConfig, Interruption, Isolation, Limits, Module};
use tidegate_tests::hostile::guests;

const LIMITS: Limits =
    Limits { memory_bytes_max: 16 << 20, base: Duration::from_millis(200), per_message: Duration::from_millis(1) };

/// A processor that cannot be cut off, and what is said when it holds its pipeline.
fn isolation(guest: &str) -> (Isolation, Receiver<Option<String>>) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("stuck-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let guests = guests().unwrap();
    let wasm = guests.iter().find(|kind| kind.name == guest).unwrap().assemble().unwrap();
    let file = folder.join(format!("{guest}.wasm"));
    fs::write(&file, wasm).unwrap();
    let module = Module::load(&Engine::new(Interruption::Off).unwrap(), &file, &folder).unwrap();
    let layouts = module.layouts().to_vec();
    let config = InstanceConfig { params: "{}".into(), topics: vec!["stuck".into()], limits: LIMITS, layouts };
    let (sender, told) = channel();
    module.on_hold(move |why| drop(sender.send(why.map(str::to_owned))));
    (Isolation::new(module, config).unwrap(), told)
}

/// A message for each letter; `!` is guilty.
fn batch(messages: &str) -> MessageBatch {
    let mut batch = MessageBatch::default();
    batch.begin_run(Partition::new("stuck", 0), Assignment(1), 0);
    for (offset, message) in (0..).zip(messages.bytes()) {
        batch.push(Parts { offset, payload: Some(&[message]), ..Parts::default() });
    }
    batch
}

fn dead_lettered(isolation: &mut Isolation, messages: &str) -> Vec<i64> {
    let parts = isolation.process(&batch(messages)).unwrap();
    let inserted: u64 = parts.iter().map(|part| part.progress.counts().inserted).sum();
    let letters: Vec<_> = parts.into_iter().flat_map(|part| part.dead_letters).collect();
    assert_eq!(inserted as usize, messages.len() - letters.len());
    for letter in &letters {
        assert_eq!(letter.rejection.reason.as_str(), "deadline");
        assert_eq!(letter.rejection.detail, "the call did not return within 201ms");
    }
    letters.iter().map(|letter| letter.offset).collect()
}

#[test]
fn a_stuck_call_costs_its_message_and_two_threads() {
    let (mut isolation, told) = isolation("spin-in-process");
    let (answer, answers) = channel();
    // On a thread, because the last of these calls is never made.
    thread::spawn(move || {
        for messages in ["xxxxxx", "xxx!xxxx", "xx!", "x"] {
            let found = dead_lettered(&mut isolation, messages);
            answer.send((found, isolation.take_failures().len())).unwrap();
        }
    });
    for expected in [(vec![], 0), (vec![3], 2), (vec![2], 2)] {
        assert_eq!(answers.recv_timeout(Duration::from_secs(60)).unwrap(), expected);
    }
    let why = told.recv_timeout(Duration::from_secs(60)).unwrap().unwrap();
    assert!(why.starts_with("processor \"hostile\" has 4 calls that do not return, and no more are made"), "{why}");
    assert!(why.contains("hint: `interruption: epoch`"), "{why}");
    assert!(answers.try_recv().is_err());
}

#[test]
fn threads_that_come_back_let_the_rest_be_processed() {
    let (mut isolation, told) = isolation("spin-a-while");
    assert_eq!(dead_lettered(&mut isolation, "x!x!x!x!x!x"), [1, 3, 5, 7, 9]);
    let told: Vec<_> = told.try_iter().collect();
    assert!(told.iter().any(Option::is_some), "the bound was never met");
    assert_eq!(told.last(), Some(&None), "and it holds no more");
}
