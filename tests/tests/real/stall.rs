//! ClickHouse stalls, refuses, resets, answers nonsense, and comes back: nothing is lost, memory stays within its
//! bound, the commit log is never ahead, and the consumer stays in its group. The reference loses a batch here.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tidegate_tests::clickhouse::Database;
use tidegate_tests::kafka::Sender;
use tidegate_tests::pipeline::Bed;
use tidegate_tests::proxy::{Fault, Proxy};
use tidegate_tests::servers;
use tidegate_tests::tidegate::{Tidegate, wait_until};
use tidegate_tests::witness::Witness;

/// 150 MiB + 3 × the configured batch bytes (8 MiB).
const RESIDENT_BYTES_MAX: u64 = (150 + 3 * 8) << 20;

/// A note of `words` words of 16 bytes. Does not compress much: what is fetched would be many times larger in memory.
fn order(id: u64, words: u64) -> String {
    let word = |i: u64| format!("{:016x}", (id * words + i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let note: String = (0..words).map(word).collect();
    format!("{{\"version\": 1, \"id\": {id}, \"do\": \"row\", \"note\": \"{note}\"}}")
}

/// Sends until told to stop, about 5000 messages of 1 KiB a second.
fn load(bed: &Bed, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<u64> {
    let (sender, partitions) = (Sender::new(&bed.kafka, &bed.topic()).unwrap(), bed.partitions as u64);
    std::thread::spawn(move || {
        let (started, mut id) = (Instant::now(), 0u64);
        while !stop.load(Ordering::Acquire) {
            sender.send(Some((id % partitions) as i32), "k", Some(order(id, 57).as_bytes())).unwrap();
            id += 1;
            let due = Duration::from_micros(id * 200);
            if let Some(ahead) = due.checked_sub(started.elapsed()).filter(|ahead| *ahead > Duration::from_millis(5)) {
                std::thread::park_timeout(ahead);
            }
        }
        sender.flush().unwrap();
        id
    })
}

fn rows(bed: &Bed) -> u64 {
    bed.database.number("SELECT uniqExact(id) FROM poison").unwrap()
}

fn assert_calm(tidegate: &Tidegate) {
    let metrics = tidegate.get("/metrics").unwrap();
    for kind in ["revoked", "lost"] {
        assert!(!metrics.contains(&format!("of=\"{kind}\"")), "thrown out of the group:\n{}", tidegate.log());
    }
    let resident = tidegate.usage().resident_bytes();
    let in_flight = metrics.lines().find(|line| line.starts_with("tidegate_in_flight_bytes{")).unwrap_or_default();
    assert!(resident < RESIDENT_BYTES_MAX, "{} MiB resident, {in_flight}", resident >> 20);
}

fn finish(bed: &Bed, tidegate: Tidegate, stop: &AtomicBool, load: std::thread::JoinHandle<u64>) -> u64 {
    stop.store(true, Ordering::Release);
    let sent = load.join().unwrap();
    wait_until(Duration::from_secs(120), || bed.is_done())
        .unwrap_or_else(|error| panic!("{error}\n{}", tidegate.log()));
    assert_calm(&tidegate);
    assert_eq!(rows(bed), sent, "none lost");
    assert_eq!(tidegate.terminate().unwrap().code(), Some(143));
    sent
}

#[test]
fn a_stall_of_thirty_seconds_loses_nothing() {
    let clickhouse = servers::own_clickhouse(&servers::folder("stall-clickhouse"));
    let database = Database::create(clickhouse.port(), "stall").unwrap();
    let bed = Bed::at("stall", 4, database, clickhouse.url()).unwrap();
    let tidegate = bed.start("one").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let load = load(&bed, stop.clone());
    wait_until(Duration::from_secs(60), || Ok(rows(&bed) > 5000)).unwrap();

    clickhouse.suspend();
    let stalled = Instant::now();
    while stalled.elapsed() < Duration::from_secs(30) {
        std::thread::park_timeout(Duration::from_secs(1));
        assert_calm(&tidegate);
    }
    let said = bed.said().unwrap();
    clickhouse.resume();
    // What the commit log said during the stall was true.
    for (partition, offset) in said {
        let sql = format!("SELECT uniqExact(offset) FROM poison WHERE partition = {partition} AND offset < {offset}");
        assert_eq!(bed.database.number(&sql).unwrap(), offset as u64);
    }
    let before = rows(&bed);
    wait_until(Duration::from_secs(60), || Ok(rows(&bed) > before + 20_000)).unwrap();
    let witness = Witness::of(&bed).unwrap();
    let sent = finish(&bed, tidegate, &stop, load);
    println!("{sent} messages, {} true records of the commit log", witness.finish().unwrap());
}

#[test]
fn refusals_resets_nonsense_and_lost_answers_lose_nothing() {
    let shared = servers::database("faults");
    let proxy = Proxy::before_shared().unwrap();
    let bed = Bed::at("faults", 4, shared, proxy.url()).unwrap();
    let tidegate = bed.start("one").unwrap();
    let witness = Witness::of(&bed).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let load = load(&bed, stop.clone());
    wait_until(Duration::from_secs(60), || Ok(rows(&bed) > 2000)).unwrap();
    for fault in [Fault::Refuse, Fault::ResetMidBody, Fault::Status500, Fault::LoseAnswer] {
        let before = proxy.faults();
        proxy.set(fault);
        wait_until(Duration::from_secs(30), || Ok(proxy.faults() >= before + 4)).unwrap();
        proxy.set(Fault::None);
        let written = rows(&bed);
        wait_until(Duration::from_secs(60), || Ok(rows(&bed) > written + 2000)).unwrap();
    }
    let faults = proxy.faults();
    let sent = finish(&bed, tidegate, &stop, load);
    println!("{sent} messages, {faults} faults, {} true records of the commit log", witness.finish().unwrap());
}

/// What docs/configuration.md says, of the defaults and of this pipeline: 100 MiB, `read_ahead`, the client's queue, batches and instances.
const RESIDENT_BYTES_MAX_WHEN_BEHIND: u64 = (100 + 32 + 8 + 4 * 8 + 32) << 20;

/// librdkafka reads ahead for each partition, or for all: 100 × 2 MiB would pass the bound.
#[test]
fn what_is_read_ahead_does_not_grow_with_the_partitions() {
    const MESSAGES: u64 = 25_000;
    let proxy = Proxy::before_shared().unwrap();
    let bed = Bed::at("ahead", 100, servers::database("ahead"), proxy.url()).unwrap();
    let sender = Sender::new(&bed.kafka, &bed.topic()).unwrap();
    let send = |ids: std::ops::Range<u64>| {
        for id in ids {
            sender.send(Some((id % 100) as i32), "k", Some(order(id, 640).as_bytes())).unwrap();
        }
        sender.flush().unwrap();
    };
    let tidegate = bed.start("one").unwrap();
    send(0..1);
    wait_until(Duration::from_secs(60), || Ok(rows(&bed) == 1)).unwrap();
    // Rows are refused for long enough to read all that it may.
    proxy.set(Fault::Refuse);
    send(1..MESSAGES);
    wait_until(Duration::from_secs(60), || Ok(proxy.faults() >= 4)).unwrap();
    proxy.set(Fault::None);
    wait_until(Duration::from_secs(120), || bed.is_done())
        .unwrap_or_else(|error| panic!("{error}\n{}", tidegate.log()));
    let most = tidegate.usage().resident_bytes_at_most();
    println!("{} MiB resident at most", most >> 20);
    assert!(most < RESIDENT_BYTES_MAX_WHEN_BEHIND, "{} MiB", most >> 20);
    assert_eq!(rows(&bed), MESSAGES, "none lost");
}
