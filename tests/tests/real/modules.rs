//! Modules loaded, swapped, rolled back and refused while messages flow, on real servers.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use serde_json::Value;
use tidegate_tests::hostile::Guest;
use tidegate_tests::pipeline::Bed;
use tidegate_tests::processors::repository;
use tidegate_tests::tidegate::{Tidegate, wait_until};
use tidegate_tests::{kafka, swaps, variant};

const PATIENCE: Duration = Duration::from_secs(60);

/// Sends so many messages to each partition.
fn send(bed: &Bed, per_partition: u64) {
    let sender = kafka::Sender::new(&bed.kafka, &bed.topic()).unwrap();
    for _ in 0..per_partition {
        for partition in 0..bed.partitions {
            sender.send(Some(partition), "k", Some(b"{}")).unwrap();
        }
    }
    sender.flush().unwrap();
}

fn settled(bed: &Bed) {
    wait_until(PATIENCE, || bed.is_done()).unwrap_or_else(|error| panic!("{}: {error}", bed.name));
}

/// Rows of a version.
fn rows(bed: &Bed, version: u32) -> u64 {
    bed.database.number(&format!("SELECT count() FROM variant WHERE version = {version}")).unwrap()
}

fn load(process: &Tidegate, bed: &Bed, version: u32, mode: &str) -> (bool, String) {
    let file = variant::write(&bed.folder, version, mode);
    process.module(&["load", &bed.name, file.to_str().unwrap()]).unwrap()
}

/// A process that has joined its group.
fn started(bed: &Bed, process: &str) -> Tidegate {
    let process = bed.start(process).unwrap();
    let joined = || Ok(process.get("/readyz").is_ok_and(|answer| answer == "ready\n"));
    wait_until(PATIENCE, joined).unwrap_or_else(|error| panic!("{error}: {}", process.log()));
    process
}

fn history(process: &Tidegate, bed: &Bed) -> Vec<Value> {
    let answer = process.get(&format!("/modules/{}/history", bed.name)).unwrap();
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

fn succeeded((done, text): (bool, String)) -> String {
    assert!(done, "{text}");
    text
}

fn refused((done, text): (bool, String)) -> String {
    assert!(!done, "{text}");
    text
}

#[test]
fn modules_are_loaded_rolled_back_pinned_and_remembered() {
    let bed = Bed::of_variants("modules-changed", 2).unwrap();
    let process = started(&bed, "first");
    send(&bed, 50);
    settled(&bed);
    assert_eq!(rows(&bed, 1), 100);

    let text = succeeded(load(&process, &bed, 2, "good"));
    assert!(text.contains("variant 2.0.0"), "{text}");
    send(&bed, 50);
    settled(&bed);
    assert_eq!((rows(&bed, 1), rows(&bed, 2)), (100, 100));

    succeeded(process.module(&["rollback", &bed.name]).unwrap());
    succeeded(process.module(&["pin", &bed.name]).unwrap());
    let text = refused(load(&process, &bed, 3, "good"));
    assert!(text.contains("is pinned to") && text.contains("unpin it first"), "{text}");
    let text = refused(process.module(&["load", "other", "file:x"]).unwrap());
    assert!(text.contains("there is no pipeline \"other\" here; there is modules-changed"), "{text}");
    succeeded(process.module(&["unpin", &bed.name]).unwrap());
    send(&bed, 50);
    settled(&bed);
    assert_eq!((rows(&bed, 1), rows(&bed, 2)), (200, 100));

    succeeded(load(&process, &bed, 3, "good"));
    process.kill();
    let process = started(&bed, "first");
    send(&bed, 50);
    settled(&bed);
    assert_eq!(rows(&bed, 3), 100, "the module that was loaded is there after a restart");
    let ran: Vec<_> = history(&process, &bed).iter().map(|entry| entry["module"].clone()).collect();
    assert_eq!(ran, ["variant 1.0.0", "variant 2.0.0", "variant 1.0.0", "variant 3.0.0"]);
    let table = succeeded(process.module(&["history", &bed.name]).unwrap());
    assert!(table.lines().nth(3).unwrap().contains("rollback"), "{table}");
}

#[test]
fn a_wider_module_writes_its_column_once_the_table_has_it() {
    let bed = Bed::of_variants("modules-wider", 2).unwrap();
    let process = started(&bed, "first");
    let text = refused(load(&process, &bed, 2, "wider"));
    assert!(text.contains("extra"), "{text}");
    bed.database.run("ALTER TABLE variant ADD COLUMN extra UInt8").unwrap();
    succeeded(load(&process, &bed, 2, "wider"));
    send(&bed, 10);
    settled(&bed);
    assert_eq!(bed.database.number("SELECT count() FROM variant WHERE extra = 7").unwrap(), 20);
    drop(process);
}

#[test]
fn a_file_that_changes_is_loaded() {
    let mut bed = Bed::of_variants("modules-watched", 1).unwrap();
    let file = bed.folder.join("watched.wasm");
    std::fs::write(&file, variant::bytes(1, "good")).unwrap();
    bed.source = format!("file:{}", file.display());
    let process = started(&bed, "first");
    std::fs::write(&file, variant::bytes(2, "good")).unwrap();
    wait_until(PATIENCE, || Ok(history(&process, &bed).iter().any(|entry| entry["because"] == "watch"))).unwrap();
    std::fs::write(&file, &variant::bytes(3, "good")[..1000]).unwrap();
    wait_until(PATIENCE, || Ok(history(&process, &bed).iter().any(|entry| entry["refused"].is_string()))).unwrap();
    send(&bed, 10);
    settled(&bed);
    assert_eq!(rows(&bed, 2), 10, "half a file changes nothing");
}

#[test]
fn a_new_module_that_traps_is_rolled_back_by_itself() {
    let bed = Bed::of_variants("modules-breaker", 4).unwrap();
    let process = started(&bed, "first");
    succeeded(load(&process, &bed, 2, "trap"));
    send(&bed, 500);
    wait_until(PATIENCE, || Ok(process.log().contains("the module is rolled back: it does too much harm"))).unwrap();
    send(&bed, 500);
    settled(&bed);
    let (written, letters) = (rows(&bed, 1), bed.letters().unwrap().len() as u64);
    assert_eq!(written + letters, 4000, "every message has one end");
    assert!(written >= 2000 && letters >= 100, "{written} rows, {letters} dead letters");
    let history = history(&process, &bed);
    let last = &history[history.len() - 2..];
    assert!(last[0]["refused"].as_str().unwrap().starts_with("rolled back: "), "{last:?}");
    assert_eq!((&last[1]["because"], &last[1]["module"]), (&"breaker".into(), &"variant 1.0.0".into()));
}

#[test]
fn an_old_module_that_traps_is_paused_until_another_is_loaded() {
    let mut bed = Bed::of_variants("modules-paused", 4).unwrap();
    bed.source = format!("file:{}", variant::write(&bed.folder, 1, "trap").display());
    let process = started(&bed, "first");
    send(&bed, 5000);
    wait_until(PATIENCE, || Ok(process.get("/readyz")?.contains("paused: "))).unwrap();
    let why = process.get("/readyz").unwrap();
    assert!(why.contains("of the last") && why.contains("tidegate module resume modules-paused"), "{why}");
    succeeded(load(&process, &bed, 2, "good"));
    settled(&bed);
    assert_eq!(process.get("/readyz").unwrap(), "ready\n");
    let (written, letters) = (rows(&bed, 2), bed.letters().unwrap().len() as u64);
    assert_eq!(written + letters, 20_000, "every message has one end");
    assert!(written > 10_000, "{written} rows, {letters} dead letters");
}

#[test]
fn a_fleet_follows_one_command() {
    let mut bed = Bed::of_variants("modules-fleet", 4).unwrap();
    bed.globals = "control: { topic: modules-fleet-control }".into();
    bed.module = "base: 50ms, per_message: 100us, memory: 96MiB".into();
    let (first, second) = (started(&bed, "first"), started(&bed, "second"));
    bed.module = "base: 50ms, per_message: 100us, memory: 32MiB".into();
    let third = started(&bed, "third");
    wait_until(PATIENCE, || Ok(first.get("/modules")?.matches("\"member\"").count() == 3)).unwrap();

    let before = std::time::Instant::now();
    succeeded(load(&first, &bed, 2, "good"));
    let took = before.elapsed();
    for process in [&first, &second, &third] {
        let answer: Value = serde_json::from_str(&process.get("/modules").unwrap()).unwrap();
        assert_eq!(answer[0]["module"], "variant 2.0.0", "after {took:?}");
    }
    println!("three processes ran what one was told after {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");

    // What one of them cannot run, it says, and keeps the module before.
    let text = refused(load(&first, &bed, 3, "init-memory"));
    assert!(text.contains("refused") && text.contains("1 process(es) of the fleet"), "{text}");
    let answer: Value = serde_json::from_str(&third.get("/modules").unwrap()).unwrap();
    assert_eq!(answer[0]["module"], "variant 2.0.0");
    assert!(answer[0]["why"].as_str().unwrap().contains("memory"), "{answer}");

    // Who comes back has it.
    second.kill();
    bed.module = "base: 50ms, per_message: 100us, memory: 96MiB".into();
    let second = started(&bed, "second");
    let answer: Value = serde_json::from_str(&second.get("/modules").unwrap()).unwrap();
    assert_eq!(answer[0]["module"], "variant 3.0.0");
}

/// What is loaded, and what the refusal says: `tests/modules/refused/NAME.txt`, where `{…}` stands for what differs.
#[test]
fn bad_modules_are_refused_in_a_sentence_and_change_nothing() {
    let bed = Bed::of_variants("modules-refused", 2).unwrap();
    let process = started(&bed, "first");
    let good = variant::bytes(2, "good");
    let hostile = |name: &str| Guest::named(name).unwrap().assemble().unwrap();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("another-contract", hostile("export-with-another-signature")),
        ("nothing-exported", hostile("nothing-exported")),
        ("unknown-import", hostile("wasi-used-in-describe")),
        ("compile-bomb", hostile("too-many-joins")),
        ("other-type", variant::bytes(2, "other-type")),
        ("wider", variant::bytes(2, "wider")),
        ("other-output", variant::bytes(2, "other-output")),
        ("self-test", variant::bytes(2, "self-test")),
        ("describe-trap", variant::bytes(2, "describe-trap")),
        ("init-trap", variant::bytes(2, "init-trap")),
        ("init-refuse", variant::bytes(2, "init-refuse")),
        ("init-memory", variant::bytes(2, "init-memory")),
        ("not-webassembly", b"#!/bin/sh\n".to_vec()),
        ("truncated", good[..good.len() / 2].to_vec()),
    ];
    let mut said = Vec::new();
    for (name, bytes) in &cases {
        let file = bed.folder.join(format!("{name}.wasm"));
        std::fs::write(&file, bytes).unwrap();
        said.push((*name, refused(process.module(&["load", &bed.name, file.to_str().unwrap()]).unwrap())));
    }
    let file = variant::write(&bed.folder, 2, "good");
    let digest = "0".repeat(64);
    let arguments = ["load", &bed.name, file.to_str().unwrap(), "--digest", &digest];
    said.push(("wrong-digest", refused(process.module(&arguments).unwrap())));
    let nowhere = "oci://127.0.0.1:9/processors/variant:2";
    said.push(("registry-down", refused(process.module(&["load", &bed.name, nowhere]).unwrap())));

    let wrong: Vec<String> = said.iter().filter_map(|(name, text)| differs_from_golden(&bed, name, text)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    send(&bed, 50);
    settled(&bed);
    assert_eq!(rows(&bed, 1), 100, "the module that ran goes on");
    let refusals = history(&process, &bed).iter().filter(|entry| entry["refused"].is_string()).count();
    assert_eq!(refusals, said.len());
}

/// A module that nobody has compiled before, as a section of nobody's makes it another one.
fn unseen(bed: &Bed, version: u32) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut wasm = variant::bytes(version, "good");
    let name = format!("{:020}", now.as_nanos());
    wasm.extend([0, 21, 20]);
    wasm.extend(name.as_bytes());
    let file = bed.folder.join(format!("unseen-{name}.wasm"));
    std::fs::write(&file, wasm).unwrap();
    file.to_str().unwrap().to_owned()
}

/// The compiler dies of what it may not have, and takes nothing with it.
#[test]
fn a_compiler_gets_no_more_than_it_may_have() {
    let mut bed = Bed::of_variants("modules-compiler", 2).unwrap();
    let usual = bed.module.clone();
    let process = started(&bed, "usual");
    succeeded(process.module(&["load", &bed.name, &unseen(&bed, 2)]).unwrap());
    assert_eq!(process.terminate().unwrap().code(), Some(143));

    for (process, limit, said) in [
        ("memory", "compile_memory: 16MiB", "it takes more than 16 MiB\nhint: `modules.NAME.compile_memory`"),
        ("time", "compile_time: 1ms", "it took longer than 1ms\nhint: `modules.NAME.compile_time`"),
    ] {
        // What it runs is compiled.
        bed.module = format!("{usual}, {limit}");
        let process = started(&bed, process);
        let text = refused(process.module(&["load", &bed.name, &unseen(&bed, 3)]).unwrap());
        assert!(text.contains("failed to compile module") && text.contains(said), "{text}");
        println!("{limit}: {text}");
        send(&bed, 50);
        settled(&bed);
        assert_eq!(process.terminate().unwrap().code(), Some(143));
    }
    assert_eq!((rows(&bed, 2), rows(&bed, 3)), (200, 0), "the module that ran went on");
}

/// Digests, sizes and places are other ones after every build.
fn without_numbers(text: &str) -> String {
    let is_number = |word: &str| {
        word.len() > 3
            && word.bytes().all(|byte| byte.is_ascii_hexdigit())
            && word.bytes().any(|byte| byte.is_ascii_digit())
    };
    let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()).map(|part| {
        let (word, end) = part.split_at(part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).len());
        if is_number(word) { format!("{{n}}{end}") } else { part.to_owned() }
    });
    words.collect()
}

/// With `UPDATE=1`, what is said becomes what must be said.
fn differs_from_golden(bed: &Bed, name: &str, text: &str) -> Option<String> {
    let text = without_numbers(&text.replace(&bed.folder.display().to_string(), "{folder}"));
    let file = repository().join(format!("tests/modules/refused/{name}.txt"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    (golden != text).then(|| format!("{name}:\n{text}instead of\n{golden}"))
}

/// Two versions take turns while messages flow: nothing is lost or doubled, nobody rebalances, and no partition goes back.
#[test]
fn swaps_under_load_lose_nothing() {
    let mut bed = Bed::of_variants("modules-swapped", 8).unwrap();
    bed.batch = "{ rows: 50000, bytes: 16MiB, time: 500ms }".into();
    bed.workers = 3;
    let (seen, process) = swaps::run(&bed, 200_000, 20).unwrap();
    assert_eq!(seen.gaps_ms.len(), 20, "each swap has its gap: {seen:?}");
    assert_eq!(process.terminate().unwrap().code(), Some(143));
    println!(
        "gaps: p50 {:.1} ms, max {:.1} ms; usual p99 {:.1} ms",
        seen.gap_ms(0.5),
        seen.gap_ms(1.0),
        seen.usual.of_calls(0.99)
    );
}
