//! What each consistency profile promises, on real replicas: ClickHouse 18.16, two shards of two replicas, ZooKeeper.
//! Inserts have the settings of the profile, reads are those of the client. A replica whose fetches are stopped is one that
//! is behind; where a profile permits a stale read, it is shown.
//!
//! tidegate itself does not write to a server that old (no deduplication tokens): `replicas.rs` does, on a new one.

#![allow(clippy::unwrap_used)]

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate::clickhouse::Class;
use tidegate::error::Remedy;
use tidegate_client::Consistency;
use tidegate_engines::Replicated;
use tidegate_tests::clickhouse::Database;
use tidegate_tests::replicas::{Reading, ask};
use tidegate_tests::servers;
use tidegate_tests::tidegate::wait_until;

/// Of one request; a quorum has three quarters of it.
const TIMEOUT: Duration = Duration::from_secs(3);
/// A fetch that failed is tried again after ten seconds at most.
const CAUGHT_UP: Duration = Duration::from_secs(40);

/// Tests take turns: they stop its nodes.
static CLUSTER: LazyLock<Mutex<Replicated>> = LazyLock::new(|| {
    let started = Replicated::start(&servers::folder("old"));
    Mutex::new(started.unwrap_or_else(|error| panic!("{error}")))
});

/// A table of a test's own, on nodes of the cluster.
struct Table {
    cluster: MutexGuard<'static, Replicated>,
    name: &'static str,
}

impl Table {
    /// On all nodes, by shard, with a Distributed table `NAME_all` over it.
    fn sharded(name: &'static str) -> Self {
        let table = Self::new(name, &[1, 2, 3, 4], "{shard}");
        for node in 1..=4 {
            table
                .run(node, &format!("CREATE TABLE {name}_all AS {name} ENGINE = Distributed(c1, default, {name}, id)"));
        }
        table
    }

    /// On nodes 1 to 3, which are its three replicas.
    fn of_three(name: &'static str) -> Self {
        Self::new(name, &[1, 2, 3], "one")
    }

    fn new(name: &'static str, nodes: &[usize], shard: &str) -> Self {
        let table = Self { cluster: CLUSTER.lock().unwrap_or_else(PoisonError::into_inner), name };
        for node in nodes {
            let engine = format!("ReplicatedMergeTree('/tables/{shard}/{name}', '{{replica}}') ORDER BY id");
            table.run(*node, &format!("CREATE TABLE {name} (id UInt64) ENGINE = {engine}"));
        }
        table
    }

    fn ask(&self, node: usize) -> Database {
        ask(self.cluster.port(node)).unwrap()
    }

    fn run(&self, node: usize, sql: &str) {
        self.ask(node).run(sql).unwrap();
    }

    fn fetches(&self, what: &str, nodes: &[usize]) {
        nodes.iter().for_each(|node| self.run(*node, &format!("SYSTEM {what} FETCHES {}", self.name)));
    }

    /// Inserts these ids as the profile does; ClickHouse's code if it refuses.
    fn insert(&self, node: usize, table: &str, ids: std::ops::Range<u64>, consistency: Consistency) -> Result<(), u32> {
        let values: Vec<_> = ids.map(|id| format!("({id})")).collect();
        let sql = format!("INSERT INTO {table} VALUES {}", values.join(","));
        let error = match self.ask(node).run_with(&sql, &settings(consistency)) {
            Ok(_) => return Ok(()),
            Err(error) => error.to_string(),
        };
        let code = error.split("Code: ").nth(1).and_then(|rest| rest.split(',').next()?.parse().ok());
        Err(code.unwrap_or_else(|| panic!("{error}")))
    }

    /// The same rows again, as the host does it, until they are taken; the codes until then.
    fn insist(&self, node: usize, table: &str, ids: std::ops::Range<u64>, consistency: Consistency) -> Vec<u32> {
        let mut codes = Vec::new();
        let taken = wait_until(CAUGHT_UP, || match self.insert(node, table, ids.clone(), consistency) {
            Ok(()) => Ok(true),
            Err(code) => {
                codes.push(code);
                Ok(false)
            }
        });
        taken.unwrap_or_else(|error| panic!("{error}: {codes:?}"));
        codes
    }

    fn reading(&self, nodes: &[usize], consistency: Consistency) -> Reading {
        let ports: Vec<u16> = nodes.iter().map(|node| self.cluster.port(*node)).collect();
        Reading::new(&ports, consistency).unwrap()
    }

    /// What the replica itself has.
    fn count(&self, node: usize) -> u64 {
        self.ask(node).number(&format!("SELECT count() FROM {}", self.name)).unwrap()
    }

    fn wait_for(&self, node: usize, count: u64) {
        wait_until(CAUGHT_UP, || Ok(self.count(node) == count)).unwrap();
    }
}

/// Those of the one table of settings, as this server knows them.
fn settings(consistency: Consistency) -> Vec<(&'static str, String)> {
    let settings = consistency.insert_settings(TIMEOUT).into_iter();
    let known = settings.filter_map(|(name, value)| match name {
        "distributed_foreground_insert" => Some(("insert_distributed_sync", value)),
        // `auto` is younger. Of two replicas and of three, a majority is two.
        "insert_quorum" => Some((name, "2".to_owned())),
        // There are no others yet.
        "insert_quorum_parallel" => None,
        _ => Some((name, value)),
    });
    known.collect()
}

/// Whatever the quorum does, the host sends the same block again.
fn assert_retried(codes: &[u32]) {
    for code in codes {
        let class = Class::of(*code, "");
        assert!(matches!(class, Class::Quorum | Class::UnknownOutcome), "{code} is {class:?}");
        assert_eq!(class.remedy(), Remedy::Retry);
    }
}

#[test]
fn replicas_old_eventual_permits_a_stale_read() {
    let table = Table::sharded("eventual");
    table.fetches("STOP", &[2]);
    table.insert(1, table.name, 0..1, Consistency::Eventual).unwrap();
    let reading = table.reading(&[1, 2], Consistency::Eventual);
    assert_eq!([(); 4].map(|()| reading.count(table.name).unwrap()), [1, 0, 1, 0]);
    table.fetches("START", &[2]);
    table.wait_for(2, 1);
    assert_eq!([(); 2].map(|()| reading.count(table.name).unwrap()), [1, 1]);
}

#[test]
fn replicas_old_in_order_shows_what_was_written_while_the_first_replica_stays_up() {
    let mut table = Table::sharded("in_order");
    table.fetches("STOP", &[2, 4]);
    // A server that old takes itself for its shard where it inserts, whatever the settings: the first replica is asked.
    table.insert(3, "in_order_all", 0..100, Consistency::InOrder).unwrap();
    let counts = [1, 2, 3, 4].map(|node| table.count(node));
    assert!(counts[0] > 0 && counts[2] > 0 && counts[0] + counts[2] == 100, "{counts:?}");
    assert_eq!((counts[1], counts[3]), (0, 0));
    for node in 1..=4 {
        let reading = table.reading(&[node], Consistency::InOrder);
        assert_eq!([(); 3].map(|()| reading.count("in_order_all").unwrap()), [100; 3], "by node {node}");
    }
    // Without the profile, node 4 takes itself for its shard.
    let stale = table.reading(&[4], Consistency::Eventual).count("in_order_all").unwrap();
    assert!(stale <= counts[0], "{stale} of {counts:?}");
    // Nor does it promise more than it says: the second replica knows nothing of the rows.
    table.cluster.kill(1);
    assert_eq!(table.reading(&[1, 3], Consistency::InOrder).count("in_order_all").unwrap(), counts[2]);
    table.cluster.restart(1).unwrap();
}

#[test]
fn replicas_old_in_order_and_quorum_outlives_the_first_replica() {
    let mut table = Table::sharded("in_order_quorum");
    let (all, profile) = ("in_order_quorum_all", Consistency::InOrderQuorum);
    table.insert(1, all, 0..100, profile).unwrap();
    table.fetches("STOP", &[2]);
    // Not acknowledged, not lost: it is there and nobody has promised it.
    let code = table.insert(1, all, 100..200, profile).unwrap_err();
    assert_eq!(code, 319);
    table.fetches("START", &[2]);
    let codes = table.insist(1, all, 100..200, profile);
    println!("in-order+quorum, fetches stopped: {code}, then {codes:?}, then taken");
    assert_retried(&codes);
    // All that was acknowledged is on the others, now and not later.
    table.cluster.kill(1);
    let reading = table.reading(&[1, 2, 3, 4], profile);
    assert_eq!([(); 3].map(|()| reading.count(all).unwrap()), [200; 3]);
    table.cluster.restart(1).unwrap();
    assert_eq!(table.reading(&[1, 2], profile).count(all).unwrap(), 200);
}

#[test]
fn replicas_old_quorum_of_two_is_on_both_and_one_that_is_down_stops_writes() {
    let mut table = Table::sharded("quorum");
    let profile = Consistency::Quorum;
    let reading = table.reading(&[1, 2], profile);
    for id in 0..10 {
        table.insert(1, table.name, id..id + 1, profile).unwrap();
        assert_eq!([(); 2].map(|()| reading.count(table.name).unwrap()), [id + 1; 2]);
    }
    table.cluster.kill(2);
    let first = table.insert(1, table.name, 10..11, profile).unwrap_err();
    let second = table.insert(1, table.name, 10..11, profile).unwrap_err();
    table.cluster.restart(2).unwrap();
    let codes = [vec![first, second], table.insist(1, table.name, 10..11, profile)].concat();
    println!("quorum of two, one down: {codes:?}, then taken");
    assert_retried(&codes);
    assert_eq!([(); 2].map(|()| reading.count(table.name).unwrap()), [11; 2]);
}

#[test]
fn replicas_old_quorum_of_three_permits_a_stale_read() {
    let table = Table::of_three("quorum_of_three");
    table.fetches("STOP", &[3]);
    table.insert(1, table.name, 0..1, Consistency::Quorum).unwrap();
    let reading = table.reading(&[1, 2, 3], Consistency::Quorum);
    assert_eq!([(); 3].map(|()| reading.count(table.name).unwrap()), [1, 1, 0]);
    table.fetches("START", &[3]);
}

#[test]
fn replicas_old_sequential_never_answers_with_less_than_was_confirmed_nor_with_more() {
    let table = Table::of_three("sequential");
    let profile = Consistency::Sequential;
    table.fetches("STOP", &[3]);
    table.insert(1, table.name, 0..1, profile).unwrap();
    let refused = table.reading(&[3], profile).count(table.name).unwrap_err().to_string();
    assert!(refused.contains("refused: code 289"), "{refused}");
    assert_eq!(table.reading(&[3, 2, 1], profile).count(table.name).unwrap(), 1);
    table.fetches("STOP", &[2]);
    assert_eq!(table.insert(1, table.name, 1..2, profile), Err(319));
    // It is there, and nobody has confirmed it.
    assert_eq!(table.count(1), 2);
    assert_eq!(table.reading(&[1], profile).count(table.name).unwrap(), 1);
    assert_eq!(table.insert(1, table.name, 2..3, profile), Err(286), "one after the other");
    table.fetches("START", &[2, 3]);
    assert_retried(&table.insist(1, table.name, 1..2, profile));
    assert_retried(&table.insist(2, table.name, 2..3, profile));
    table.wait_for(3, 3);
    assert_eq!(table.reading(&[3], profile).count(table.name).unwrap(), 3);
}

/// The client says `LIGHTWEIGHT`, which this server does not know.
#[test]
fn replicas_old_synced_waits_for_what_the_node_lacks() {
    let table = Table::of_three("synced");
    table.fetches("STOP", &[3]);
    table.insert(1, table.name, 0..1, Consistency::Synced).unwrap();
    assert_eq!(table.count(3), 0);
    let node = table.ask(3);
    let syncing = std::thread::spawn(move || node.run("SYSTEM SYNC REPLICA synced"));
    let ended = wait_until(Duration::from_secs(1), || Ok(syncing.is_finished()));
    assert!(ended.is_err(), "it says that all is there, and it is not");
    table.fetches("START", &[3]);
    syncing.join().unwrap().unwrap();
    assert_eq!(table.count(3), 1);
}

#[test]
fn replicas_old_shard_local_is_one_node_or_none() {
    let mut table = Table::sharded("shard_local");
    let profile = Consistency::ShardLocal;
    table.insert(3, table.name, 0..5, profile).unwrap();
    let reading = table.reading(&[3, 1], profile);
    assert_eq!([(); 3].map(|()| reading.count(table.name).unwrap()), [5; 3]);
    table.cluster.kill(3);
    // The other shard would answer, with nothing.
    let error = reading.count(table.name).unwrap_err().to_string();
    assert!(error.contains("failed to reach"), "{error}");
    table.cluster.restart(3).unwrap();
    assert_eq!(reading.count(table.name).unwrap(), 5);
}
