//! What each consistency profile promises, on real replicas: ClickHouse 18.16, two shards of two replicas, ZooKeeper.
//! Inserts have the settings of the profile, reads are those of the client. A replica whose fetches are stopped is one that
//! is behind; where a profile permits a stale read, it is shown.
//!
//! tidegate itself does not write to a server that old (no deduplication tokens): `replicas.rs` does, on a new one.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::ops::Range;
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

/// The cluster, for one test.
struct Old(MutexGuard<'static, Replicated>);

impl Old {
    fn new() -> Self {
        Self(CLUSTER.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A table on all nodes, by shard, with a Distributed table `NAME_all` over it.
    fn create_sharded(&self, name: &str) {
        self.create(name, &[1, 2, 3, 4], "{shard}");
        let all = format!("CREATE TABLE {name}_all AS {name} ENGINE = Distributed(c1, default, {name}, id)");
        (1..=4).for_each(|node| self.run(node, &all));
    }

    /// A table on nodes 1 to 3, which are its three replicas.
    fn create_of_three(&self, name: &str) {
        self.create(name, &[1, 2, 3], "one");
    }

    fn create(&self, name: &str, nodes: &[usize], shard: &str) {
        let engine = format!("ReplicatedMergeTree('/tables/{shard}/{name}', '{{replica}}') ORDER BY id");
        nodes.iter().for_each(|node| self.run(*node, &format!("CREATE TABLE {name} (id UInt64) ENGINE = {engine}")));
    }

    fn ask(&self, node: usize) -> Database {
        ask(self.0.port(node)).unwrap()
    }

    fn run(&self, node: usize, sql: &str) {
        self.ask(node).run(sql).unwrap();
    }

    fn fetches(&self, what: &str, table: &str, nodes: &[usize]) {
        nodes.iter().for_each(|node| self.run(*node, &format!("SYSTEM {what} FETCHES {table}")));
    }

    /// Inserts these ids as the profile does; ClickHouse's code if it refuses.
    fn insert(&self, node: usize, table: &str, ids: Range<u64>, consistency: Consistency) -> Result<(), u32> {
        let values: Vec<_> = ids.map(|id| format!("({id})")).collect();
        let sql = format!("INSERT INTO {table} VALUES {}", values.join(","));
        let error = match self.ask(node).run_with(&sql, &settings(consistency)) {
            Ok(_) => return Ok(()),
            Err(error) => error.to_string(),
        };
        let code = error.split("Code: ").nth(1).and_then(|rest| rest.split(',').next()?.parse().ok());
        Err(code.unwrap_or_else(|| panic!("{error}")))
    }

    /// The same rows again, as the host does it, until they are taken. Whatever the quorum does, it never means that they are
    /// given up, or sent in another block.
    fn insist(&self, node: usize, table: &str, ids: Range<u64>, consistency: Consistency) {
        let mut codes = BTreeSet::new();
        let taken = wait_until(CAUGHT_UP, || {
            let code = self.insert(node, table, ids.clone(), consistency).err();
            codes.extend(code);
            Ok(code.is_none())
        });
        taken.unwrap_or_else(|error| panic!("{error}: {codes:?}"));
        println!("{table} under {consistency}: {codes:?}, then taken");
        for code in codes {
            let class = Class::of(code, "");
            assert!(matches!(class, Class::Quorum | Class::UnknownOutcome), "{code} is {class:?}");
            assert_eq!(class.remedy(), Remedy::Retry);
        }
    }

    fn reading(&self, nodes: &[usize], consistency: Consistency) -> Reading {
        let ports: Vec<u16> = nodes.iter().map(|node| self.0.port(*node)).collect();
        Reading::new(&ports, consistency).unwrap()
    }

    /// What the replica itself has.
    fn count(&self, node: usize, table: &str) -> u64 {
        self.ask(node).number(&format!("SELECT count() FROM {table}")).unwrap()
    }

    fn wait_for(&self, node: usize, table: &str, count: u64) {
        wait_until(CAUGHT_UP, || Ok(self.count(node, table) == count)).unwrap();
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

/// What so many reads show, one after the other.
fn counts<const N: usize>(reading: &Reading, table: &str) -> [u64; N] {
    [(); N].map(|()| reading.count(table).unwrap())
}

#[test]
fn replicas_old_eventual_permits_a_stale_read() {
    let old = Old::new();
    old.create_sharded("eventual");
    old.fetches("STOP", "eventual", &[2]);
    old.insert(1, "eventual", 0..1, Consistency::Eventual).unwrap();
    let reading = old.reading(&[1, 2], Consistency::Eventual);
    assert_eq!(counts(&reading, "eventual"), [1, 0, 1, 0]);
    old.fetches("START", "eventual", &[2]);
    old.wait_for(2, "eventual", 1);
    assert_eq!(counts(&reading, "eventual"), [1, 1]);
}

/// In one test, because nodes remember for minutes that another was down, and ask it last.
#[test]
fn replicas_old_in_order_holds_while_the_first_replica_stays_up_and_with_a_quorum_after_it() {
    let mut old = Old::new();
    let in_order = in_order_while_the_first_replica_stays_up(&old);
    let quorum = Consistency::InOrderQuorum;
    old.create_sharded("confirmed");
    old.insert(1, "confirmed_all", 0..100, quorum).unwrap();
    old.fetches("STOP", "confirmed", &[2]);
    // Not acknowledged, not lost: it is there and nobody has promised it.
    assert_eq!(old.insert(1, "confirmed_all", 100..200, quorum), Err(319));
    old.fetches("START", "confirmed", &[2]);
    old.insist(1, "confirmed_all", 100..200, quorum);

    old.0.kill(1);
    // Of the one table the second replica knows nothing; of the other it has all that was acknowledged, once.
    let first_of_second_shard = old.count(3, "in_order");
    assert_eq!(old.reading(&[1, 3], Consistency::InOrder).count("in_order_all").unwrap(), first_of_second_shard);
    assert!(first_of_second_shard < in_order);
    assert_eq!(counts(&old.reading(&[1, 2, 3, 4], quorum), "confirmed_all"), [200; 3]);
    old.0.restart(1).unwrap();
    assert_eq!(old.reading(&[1, 2], quorum).count("confirmed_all").unwrap(), 200);
}

/// How many rows there are, all on the first replicas.
fn in_order_while_the_first_replica_stays_up(old: &Old) -> u64 {
    old.create_sharded("in_order");
    old.fetches("STOP", "in_order", &[2, 4]);
    // A server that old takes itself for its shard where it inserts, whatever the settings: the first replica is asked.
    old.insert(3, "in_order_all", 0..100, Consistency::InOrder).unwrap();
    let on_nodes = [1, 2, 3, 4].map(|node| old.count(node, "in_order"));
    assert_eq!((on_nodes[1], on_nodes[3]), (0, 0));
    for node in 1..=4 {
        assert_eq!(counts(&old.reading(&[node], Consistency::InOrder), "in_order_all"), [100; 3], "by node {node}");
    }
    // Without the profile, node 4 takes itself for its shard.
    let stale = old.reading(&[4], Consistency::Eventual).count("in_order_all").unwrap();
    assert!(stale <= on_nodes[0] && stale < 100, "{stale} of {on_nodes:?}");
    100
}

#[test]
fn replicas_old_quorum_of_two_is_on_both_and_one_that_is_down_stops_writes() {
    let mut old = Old::new();
    let profile = Consistency::Quorum;
    old.create_sharded("quorum");
    let reading = old.reading(&[1, 2], profile);
    for id in 0..10 {
        old.insert(1, "quorum", id..id + 1, profile).unwrap();
        assert_eq!(counts(&reading, "quorum"), [id + 1; 2]);
    }
    old.0.kill(2);
    for _ in 0..2 {
        let code = old.insert(1, "quorum", 10..11, profile).unwrap_err();
        assert!([285, 286, 319].contains(&code), "{code}");
    }
    old.0.restart(2).unwrap();
    old.insist(1, "quorum", 10..11, profile);
    assert_eq!(counts(&reading, "quorum"), [11; 2]);
}

#[test]
fn replicas_old_quorum_of_three_permits_a_stale_read() {
    let old = Old::new();
    old.create_of_three("quorum_of_three");
    old.fetches("STOP", "quorum_of_three", &[3]);
    old.insert(1, "quorum_of_three", 0..1, Consistency::Quorum).unwrap();
    let reading = old.reading(&[1, 2, 3], Consistency::Quorum);
    assert_eq!(counts(&reading, "quorum_of_three"), [1, 1, 0]);
}

#[test]
fn replicas_old_sequential_never_answers_with_less_than_was_confirmed_nor_with_more() {
    let old = Old::new();
    let (table, profile) = ("sequential", Consistency::Sequential);
    old.create_of_three(table);
    old.fetches("STOP", table, &[3]);
    old.insert(1, table, 0..1, profile).unwrap();
    let refused = old.reading(&[3], profile).count(table).unwrap_err().to_string();
    assert!(refused.contains("refused: code 289"), "{refused}");
    assert_eq!(old.reading(&[3, 2, 1], profile).count(table).unwrap(), 1);
    old.fetches("STOP", table, &[2]);
    assert_eq!(old.insert(1, table, 1..2, profile), Err(319));
    // It is there, and nobody has confirmed it.
    assert_eq!(old.count(1, table), 2);
    assert_eq!(old.reading(&[1], profile).count(table).unwrap(), 1);
    assert_eq!(old.insert(1, table, 2..3, profile), Err(286), "one after the other");
    old.fetches("START", table, &[2, 3]);
    old.insist(1, table, 1..2, profile);
    old.insist(2, table, 2..3, profile);
    old.wait_for(3, table, 3);
    assert_eq!(old.reading(&[3], profile).count(table).unwrap(), 3);
}

/// The client says `LIGHTWEIGHT`, which this server does not know.
#[test]
fn replicas_old_synced_waits_for_what_the_node_lacks() {
    let old = Old::new();
    old.create_of_three("synced");
    old.fetches("STOP", "synced", &[3]);
    old.insert(1, "synced", 0..1, Consistency::Synced).unwrap();
    assert_eq!(old.count(3, "synced"), 0);
    let node = old.ask(3);
    let syncing = std::thread::spawn(move || node.run("SYSTEM SYNC REPLICA synced"));
    let ended = wait_until(Duration::from_secs(1), || Ok(syncing.is_finished()));
    assert!(ended.is_err(), "it says that all is there, and it is not");
    old.fetches("START", "synced", &[3]);
    syncing.join().unwrap().unwrap();
    assert_eq!(old.count(3, "synced"), 1);
}

#[test]
fn replicas_old_shard_local_is_one_node_or_none() {
    let mut old = Old::new();
    let profile = Consistency::ShardLocal;
    old.create_sharded("shard_local");
    old.insert(3, "shard_local", 0..5, profile).unwrap();
    let reading = old.reading(&[3, 1], profile);
    assert_eq!(counts(&reading, "shard_local"), [5; 3]);
    old.0.kill(3);
    // The other shard would answer, with nothing.
    let error = reading.count("shard_local").unwrap_err().to_string();
    assert!(error.contains("failed to reach"), "{error}");
    old.0.restart(3).unwrap();
    assert_eq!(reading.count("shard_local").unwrap(), 5);
}
