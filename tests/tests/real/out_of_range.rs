//! Retention was faster than the pipeline: its position is not in the topic any more. By default it stops and says so;
//! with a policy it goes on there and counts what was jumped over.

#![allow(clippy::unwrap_used)]

use std::ops::Range;
use std::time::Duration;

use tidegate::commit_log::Record;
use tidegate_tests::pipeline::Bed;
use tidegate_tests::proxy::{Fault, Proxy};
use tidegate_tests::tidegate::{Tidegate, wait_until};
use tidegate_tests::{kafka, servers};

/// Two partitions with the orders 0 to 99 written and 100 to 199 waiting; of partition 0, what is before `position`
/// is deleted then.
fn lagging(name: &str, position: i64) -> Bed {
    let bed = Bed::new(name, 2).unwrap();
    bed.send((0..100).map(|id| (id, "row"))).unwrap();
    let first = bed.start("first").unwrap();
    wait_until(Duration::from_secs(60), || bed.is_done()).unwrap();
    assert_eq!(first.terminate().unwrap().code(), Some(143));
    bed.send((100..200).map(|id| (id, "row"))).unwrap();
    tidegate_tests::runtime().block_on(kafka::delete_before(&bed.kafka, &bed.topic(), 0, position)).unwrap();
    bed
}

fn start(bed: &mut Bed, policy: &str) -> Tidegate {
    bed.more = format!("out_of_range: {policy}");
    bed.start(policy).unwrap()
}

fn wait_for_end(bed: &Bed, tidegate: &Tidegate) {
    wait_until(Duration::from_secs(60), || bed.is_done()).unwrap_or_else(|error| panic!("{error}\n{}", tidegate.log()));
}

/// How many there are; each must be there once.
fn ids(bed: &Bed) -> u64 {
    assert_eq!(bed.database.number("SELECT count() - uniqExact(id) FROM poison").unwrap(), 0);
    bed.database.number("SELECT count() FROM poison").unwrap()
}

/// Nothing while the port does not answer yet.
fn jumped_over(tidegate: &Tidegate) -> String {
    let metrics = tidegate.get("/metrics").unwrap_or_default();
    let line = metrics.lines().find(|line| line.starts_with("tidegate_jumped_over_total{"));
    line.map(|line| line.rsplit(' ').next().unwrap().to_owned()).unwrap_or_default()
}

#[test]
fn without_a_policy_the_pipeline_stops_and_says_what_is_there() {
    let bed = lagging("gone", 70);
    let mut tidegate = bed.start("stops").unwrap();
    assert_eq!(tidegate.end().unwrap().code(), Some(1));
    let log = tidegate.log();
    let said = "failed to read gone-in/0@50: the topic has [70..100) there, 20 messages were deleted before they were \
        read\n\nhint: `out_of_range: earliest` goes on at 70";
    assert!(log.contains(said), "{log}");
    assert_eq!(kafka::committed(&bed.kafka, &bed.group(), &bed.topic()).unwrap()[&0], 50, "nothing was passed over");
}

#[test]
fn earliest_goes_on_with_what_is_left() {
    let mut bed = lagging("earliest", 70);
    let tidegate = start(&mut bed, "earliest");
    wait_for_end(&bed, &tidegate);
    assert_eq!((ids(&bed), jumped_over(&tidegate).as_str()), (180, "20"), "{}", tidegate.log());
    assert!(tidegate.log().contains("position out of range"), "{}", tidegate.log());
    assert_eq!(tidegate.terminate().unwrap().code(), Some(143));
}

#[test]
fn latest_goes_on_with_what_comes() {
    let mut bed = lagging("latest", 70);
    let tidegate = start(&mut bed, "latest");
    wait_until(Duration::from_secs(60), || Ok(jumped_over(&tidegate) == "50"))
        .unwrap_or_else(|error| panic!("{error}\n{}", tidegate.log()));
    bed.send((200..220).map(|id| (id, "row"))).unwrap();
    wait_for_end(&bed, &tidegate);
    assert_eq!(ids(&bed), 170);
    assert_eq!(tidegate.terminate().unwrap().code(), Some(143));
}

/// A rewrite that waits for ClickHouse is carried out, and its record comes, before the partition goes on elsewhere.
#[test]
fn what_was_read_before_is_settled_first() {
    let proxy = Proxy::before_shared().unwrap();
    let mut bed = Bed::at("overtaken", 1, servers::database("overtaken"), proxy.url()).unwrap();
    bed.database.run("DROP TABLE poison").unwrap();
    let schema = include_str!("../../guests/poison/schema.sql").replace("= MergeTree", "= ReplacingMergeTree");
    bed.database.run(&schema).unwrap();
    let tidegate = start(&mut bed, "earliest");
    let send = |ids: Range<u64>| bed.send(ids.map(|id| (id, if id == 59 { "rewrite" } else { "row" }))).unwrap();
    send(0..50);
    wait_for_end(&bed, &tidegate);
    proxy.set(Fault::Status500);
    send(50..60);
    let has_read = || Ok(tidegate.status().is_some_and(|status| status.to_string().contains("\"read\":60")));
    wait_until(Duration::from_secs(30), has_read).unwrap_or_else(|error| panic!("{error}\n{}", tidegate.log()));

    // For longer than a fetch waits at the broker.
    tidegate.signal("STOP").unwrap();
    std::thread::park_timeout(Duration::from_millis(500));
    send(60..100);
    tidegate_tests::runtime().block_on(kafka::delete_before(&bed.kafka, &bed.topic(), 0, 80)).unwrap();
    tidegate.signal("CONT").unwrap();
    let settles = || Ok(tidegate.log().contains("position out of range, settling what was read"));
    wait_until(Duration::from_secs(30), settles).unwrap_or_else(|error| panic!("{error}\n{}", tidegate.log()));
    let failed = proxy.faults();
    wait_until(Duration::from_secs(30), || Ok(proxy.faults() > failed)).unwrap();
    assert!(!tidegate.log().contains("goes_on"), "{}", tidegate.log());

    proxy.set(Fault::None);
    wait_for_end(&bed, &tidegate);
    let untouched = "countIf(note = concat('number ', toString(id)))";
    let rewritten = "countIf(note = 'before 59' AND id < 59)";
    let rows = format!("SELECT count(), uniqExact(id), {rewritten}, {untouched} FROM poison FINAL");
    assert_eq!(bed.database.run(&rows).unwrap(), "79\t79\t59\t20\n", "{}", tidegate.log());
    let ends: Vec<i64> = kafka::read_all(&bed.kafka, &bed.commit_log())
        .unwrap()
        .into_iter()
        .filter_map(|record| Record::decode(&record.key, &record.value?, None).ok().map(|record| record.offset))
        .collect();
    assert!(ends.contains(&60) && ends.ends_with(&[100]), "{ends:?}");
    assert_eq!(tidegate.terminate().unwrap().code(), Some(143));
}

/// As after a topic was made anew. Each of many partitions goes on by itself.
#[test]
fn earliest_reads_again_what_is_before_the_position() {
    const PARTITIONS: i32 = 50;
    let mut bed = Bed::new("anew", PARTITIONS).unwrap();
    bed.send((0..100).map(|id| (id, "row"))).unwrap();
    let beyond = (0..PARTITIONS).map(|partition| (partition, 500));
    // The group's coordinator may be new.
    let committed = || Ok(kafka::commit(&bed.kafka, &bed.group(), &bed.topic(), beyond.clone()).is_ok());
    wait_until(Duration::from_secs(30), committed).unwrap();
    let tidegate = start(&mut bed, "earliest");
    wait_for_end(&bed, &tidegate);
    assert_eq!((ids(&bed), jumped_over(&tidegate).as_str()), (100, "0"), "{}", tidegate.log());
    assert_eq!(tidegate.terminate().unwrap().code(), Some(143));
}
