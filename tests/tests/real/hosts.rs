//! A cluster of two ClickHouse servers that know nothing of each other: the first in the order is used, the other when it
//! cannot be, and when none can be everything waits. No row is lost; one whose insert had no answer may be on both.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use tidegate_engines::ClickHouse;
use tidegate_tests::clickhouse::Database;
use tidegate_tests::pipeline::Bed;
use tidegate_tests::servers;
use tidegate_tests::tidegate::{Tidegate, wait_until};

const MINUTE: Duration = Duration::from_secs(60);
const STEP: u64 = 2000;

/// The servers, and a pipeline that prefers the first.
struct Pair {
    servers: [ClickHouse; 2],
    tables: [Database; 2],
    bed: Bed,
    sent: u64,
}

impl Pair {
    fn new() -> Self {
        let servers = ["first", "second"].map(|name| servers::own_clickhouse(&servers::folder("hosts").join(name)));
        let tables = [0, 1].map(|index: usize| Database::create(servers[index].port(), "hosts").unwrap());
        let urls = format!("{}\", \"{}", servers[0].url(), servers[1].url());
        let bed = Bed::at("hosts", 2, tables[0].clone(), urls).unwrap();
        tables[1].run_all(include_str!("../../guests/poison/schema.sql")).unwrap();
        Self { servers, tables, bed, sent: 0 }
    }

    fn send(&mut self) {
        self.bed.send((self.sent..self.sent + STEP).map(|id| (id, "row"))).unwrap();
        self.sent += STEP;
    }

    fn wait_until_done(&self, tidegate: &Tidegate) {
        let waited = wait_until(MINUTE, || self.bed.is_done());
        waited.unwrap_or_else(|error| panic!("{error}: {}", tidegate.log()));
    }

    fn rows(&self, index: usize) -> u64 {
        self.tables[index].number("SELECT count() FROM poison").unwrap()
    }

    /// Different rows of both tables.
    fn distinct(&self) -> usize {
        let ids = self.tables.each_ref().map(|table| table.run("SELECT DISTINCT id FROM poison").unwrap());
        ids.iter().flat_map(|ids| ids.lines()).collect::<std::collections::BTreeSet<_>>().len()
    }

    /// As `/metrics` has it.
    fn failures(&self, tidegate: &Tidegate, index: usize) -> u64 {
        let name = format!("tidegate_host_errors_total{{host=\"{}\"}} ", self.servers[index].url());
        let metrics = tidegate.get("/metrics").unwrap();
        metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0)
    }
}

#[test]
fn hosts_stand_in_for_each_other_and_nothing_is_lost() {
    let mut pair = Pair::new();
    pair.servers[0].kill();
    // Before `run` asks for the table, too.
    let config = pair.bed.config().replace("timeout: 20s }", "timeout: 3s }");
    let tidegate = Tidegate::run(&pair.bed.folder, "hosts", &config).unwrap();
    pair.send();
    pair.wait_until_done(&tidegate);
    assert_eq!(pair.rows(1), STEP);
    assert!(tidegate.log().lines().any(|line| line.contains(&pair.servers[0].url()) && line.contains("passed over")));

    // One that comes back is the first again.
    pair.servers[0].restart().unwrap();
    wait_until(MINUTE, || {
        if pair.bed.is_done()? {
            pair.send();
        }
        Ok(pair.rows(0) > 0)
    })
    .unwrap();

    // One that dies, or only stops to answer, in the middle of inserts.
    pair.send();
    pair.servers[0].kill();
    pair.send();
    pair.wait_until_done(&tidegate);
    assert!(pair.failures(&tidegate, 0) > 0);
    pair.servers[0].restart().unwrap();
    pair.servers[1].suspend();
    pair.send();
    pair.wait_until_done(&tidegate);
    assert!(pair.failures(&tidegate, 1) > 0);
    pair.servers[1].resume();

    // Without any, everything waits.
    pair.servers.iter_mut().for_each(ClickHouse::kill);
    pair.send();
    wait_until(MINUTE, || Ok(tidegate.status().unwrap().to_string().contains("onnection refused"))).unwrap();
    assert!(!pair.bed.is_done().unwrap());
    pair.servers.iter_mut().for_each(|server| server.restart().unwrap());
    pair.wait_until_done(&tidegate);
    assert_eq!(pair.distinct() as u64, pair.sent);
    assert!(pair.rows(0) + pair.rows(1) >= pair.sent);
    assert_eq!(tidegate.terminate().unwrap().code(), Some(143));
}
