//! Consumers join, leave, are stuck and are killed while messages flow.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use tidegate_tests::kafka;
use tidegate_tests::pipeline::Bed;
use tidegate_tests::proxy::{Fault, Proxy};
use tidegate_tests::servers;
use tidegate_tests::tidegate::{Tidegate, wait_until};
use tidegate_tests::witness::Witness;

const MESSAGES: u64 = 200_000;

fn rows(bed: &Bed) -> u64 {
    bed.database.number("SELECT count() FROM poison").unwrap()
}

fn wait_for_rows(bed: &Bed, count: u64) {
    wait_until(Duration::from_secs(120), || Ok(rows(bed) >= count)).unwrap();
}

fn wait_for_end(bed: &Bed, processes: &[&Tidegate]) {
    let done = wait_until(Duration::from_secs(180), || bed.is_done());
    done.unwrap_or_else(|error| panic!("{error}\n{}", processes.iter().map(|p| p.log()).collect::<String>()));
    // The record of the last commit is acknowledged after it.
    let ends = kafka::ends(&bed.kafka, &bed.topic()).unwrap();
    wait_until(Duration::from_secs(20), || Ok(bed.said()? == ends)).unwrap();
}

fn send(bed: &Bed, ids: std::ops::Range<u64>) {
    bed.send(ids.map(|id| (id, "row"))).unwrap();
}

#[test]
fn clean_joins_and_leaves_lose_nothing_and_double_nothing() {
    let bed = Bed::new("clean", 8).unwrap();
    let witness = Witness::of(&bed).unwrap();
    send(&bed, 0..MESSAGES / 4);
    let first = bed.start("first").unwrap();
    wait_for_rows(&bed, 1000);
    let second = bed.start("second").unwrap();
    send(&bed, MESSAGES / 4..MESSAGES / 2);
    wait_for_rows(&bed, MESSAGES / 3);
    assert_eq!(first.terminate().unwrap().code(), Some(143));
    let third = bed.start("third").unwrap();
    send(&bed, MESSAGES / 2..MESSAGES);
    wait_for_rows(&bed, MESSAGES * 3 / 4);
    assert_eq!(second.terminate().unwrap().code(), Some(143));
    wait_for_end(&bed, &[&third]);
    assert_eq!(third.terminate().unwrap().code(), Some(143));
    let records = witness.finish().unwrap();
    assert_eq!(bed.database.number("SELECT uniqExact(id) FROM poison").unwrap(), MESSAGES, "none lost");
    assert_eq!(rows(&bed), MESSAGES, "none twice");
    println!("{MESSAGES} messages, {records} true records of the commit log");
}

#[test]
fn killed_consumers_lose_nothing() {
    let bed = Bed::new("killed", 8).unwrap();
    let witness = Witness::of(&bed).unwrap();
    send(&bed, 0..MESSAGES / 4);
    let first = bed.start("first").unwrap();
    let second = bed.start("second").unwrap();
    wait_for_rows(&bed, 1000);
    first.kill();
    send(&bed, MESSAGES / 4..MESSAGES / 2);
    wait_for_rows(&bed, MESSAGES / 4);
    let third = bed.start("third").unwrap();
    send(&bed, MESSAGES / 2..MESSAGES);
    second.kill();
    wait_for_rows(&bed, MESSAGES / 2);
    wait_for_end(&bed, &[&third]);
    assert_eq!(third.terminate().unwrap().code(), Some(143));
    let records = witness.finish().unwrap();
    assert_eq!(bed.database.number("SELECT uniqExact(id) FROM poison").unwrap(), MESSAGES, "none lost");
    println!("{MESSAGES} messages, {} rows, {records} true records of the commit log", rows(&bed));
}

/// The first member's ClickHouse takes nothing while a second one joins: it gives up its partitions in time to stay in
/// the group, although its drain could last for longer.
#[test]
fn a_stuck_clickhouse_gets_nobody_thrown_out() {
    let direct = servers::clickhouse();
    let proxy = Proxy::before_shared().unwrap();
    let mut bed = Bed::at("stuck", 4, servers::database("stuck"), proxy.url()).unwrap();
    bed.more = "drain_timeout: 5m".into();
    bed.properties.push_str(", max.poll.interval.ms: 8000");
    send(&bed, 0..2000);
    let first = bed.start("first").unwrap();
    wait_for_end(&bed, &[&first]);
    proxy.set(Fault::Status500);
    send(&bed, 2000..4000);
    wait_until(Duration::from_secs(20), || Ok(proxy.faults() > 1)).unwrap();
    bed.clickhouse = direct;
    let second = bed.start("second").unwrap();
    wait_until(Duration::from_secs(30), || Ok(first.log().contains("drain given up")))
        .unwrap_or_else(|error| panic!("{error}\n{}", first.log()));
    wait_for_rows(&bed, 2500);
    proxy.set(Fault::None);
    wait_for_end(&bed, &[&first, &second]);
    let metrics = first.get("/metrics").unwrap();
    assert!(metrics.contains("of=\"revoked\"") && !metrics.contains("of=\"lost\""), "{}", first.log());
    assert_eq!(bed.database.number("SELECT uniqExact(id) FROM poison").unwrap(), 4000, "none lost");
    for process in [first, second] {
        assert_eq!(process.terminate().unwrap().code(), Some(143));
    }
}
