//! Two pipelines of one group read a topic together, and each goes on where it was.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use tidegate_tests::kafka;
use tidegate_tests::pipeline::Bed;
use tidegate_tests::proxy::{Fault, Proxy};
use tidegate_tests::tidegate::{Tidegate, wait_until};

const FIRST: u64 = 5_000;
const ALL: u64 = 60_000;

/// Beside the bed's pipeline, `copy` writes the same rows to a table of its own, behind a proxy.
fn config(bed: &Bed, proxy: &Proxy) -> String {
    let far = format!("  far: {{ hosts: [\"{}\"], database: {}, timeout: 20s }}\n", proxy.url(), bed.database.name);
    bed.config_with_copy("far", "batch: { rows: 3000, bytes: 8MiB, time: 500ms }")
        .replace("modules:\n", &format!("{far}modules:\n"))
}

struct Shared {
    bed: Bed,
    proxy: Proxy,
}

impl Shared {
    fn new(name: &str) -> Self {
        let bed = Bed::new(name, 8).unwrap();
        bed.database.run("CREATE TABLE copy AS poison").unwrap();
        Self { bed, proxy: Proxy::before_shared().unwrap() }
    }

    fn start(&self, process: &str) -> Tidegate {
        Tidegate::run(&self.bed.folder, process, &config(&self.bed, &self.proxy)).unwrap()
    }

    /// Whether the last records of the group in the commit log are the ends of the topic.
    fn is_said(&self, group: &str) -> bool {
        let said = self.bed.said_of(group).unwrap();
        said == kafka::ends(&self.bed.kafka, &self.bed.topic()).unwrap()
    }

    fn number(&self, query: &str) -> u64 {
        self.bed.database.number(query).unwrap()
    }
}

#[test]
fn a_pipeline_that_is_behind_makes_nobody_do_anything_twice() {
    let shared = Shared::new("shared-reader");
    let first = shared.start("first");
    wait_until(Duration::from_secs(30), || Ok(first.log().contains("partitions assigned"))).unwrap();
    shared.proxy.set(Fault::Status500);
    shared.bed.send((0..FIRST).map(|id| (id, "row"))).unwrap();
    wait_until(Duration::from_secs(60), || Ok(shared.is_said(&shared.bed.group())))
        .unwrap_or_else(|error| panic!("{error}\n{}", first.log()));
    assert_eq!(shared.number("SELECT count() FROM copy"), 0);
    let committed = kafka::committed(&shared.bed.kafka, &shared.bed.group(), &shared.bed.topic()).unwrap();
    assert!(committed.values().all(|position| *position == 0), "the group is where the last is: {committed:?}");
    assert_eq!(first.log().matches("partitions assigned").count(), 1, "one reader: {}", first.log());
    first.kill();
    shared.proxy.set(Fault::None);
    let second = shared.start("second");
    shared.bed.send((FIRST..ALL / 2).map(|id| (id, "row"))).unwrap();
    let third = shared.start("third");
    shared.bed.send((ALL / 2..ALL).map(|id| (id, "row"))).unwrap();
    wait_until(Duration::from_secs(60), || Ok(shared.number("SELECT count() FROM copy") > ALL / 2)).unwrap();
    assert_eq!(second.terminate().unwrap().code(), Some(143));
    for group in [&shared.bed.group(), "copy"] {
        wait_until(Duration::from_secs(120), || Ok(shared.is_said(group)))
            .unwrap_or_else(|error| panic!("{group}: {error}\n{}", third.log()));
    }
    assert_eq!(third.terminate().unwrap().code(), Some(143));
    assert!(shared.bed.is_done().unwrap());
    for table in ["poison", "copy"] {
        assert_eq!(shared.number(&format!("SELECT uniqExact(id) FROM {table}")), ALL, "{table}: none lost");
        assert_eq!(shared.number(&format!("SELECT count() FROM {table}")), ALL, "{table}: none twice");
    }
}
