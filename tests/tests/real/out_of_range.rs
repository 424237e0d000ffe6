//! Retention was faster than the pipeline: its position is not in the topic any more. By default it stops and says so;
//! with a policy it goes on there and counts what was jumped over.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use tidegate_tests::kafka;
use tidegate_tests::pipeline::Bed;
use tidegate_tests::tidegate::{Tidegate, wait_until};

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

fn ids(bed: &Bed) -> u64 {
    bed.database.number("SELECT uniqExact(id) FROM poison").unwrap()
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

/// As after a topic was made anew. Each of many partitions goes on by itself.
#[test]
fn earliest_reads_again_what_is_before_the_position() {
    const PARTITIONS: i32 = 50;
    let mut bed = Bed::new("anew", PARTITIONS).unwrap();
    bed.send((0..100).map(|id| (id, "row"))).unwrap();
    let beyond = (0..PARTITIONS).map(|partition| (partition, 500));
    kafka::commit(&bed.kafka, &bed.group(), &bed.topic(), beyond).unwrap();
    let tidegate = start(&mut bed, "earliest");
    wait_for_end(&bed, &tidegate);
    assert_eq!((ids(&bed), jumped_over(&tidegate).as_str()), (100, "0"), "{}", tidegate.log());
    assert_eq!(tidegate.terminate().unwrap().code(), Some(143));
}
