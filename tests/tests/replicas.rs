//! Consistency profiles as tidegate writes them, on a new ClickHouse: three replicas of one shard. A replica whose fetches
//! are stopped is one that is behind.

#![allow(clippy::unwrap_used)]

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tidegate::block::BlockBuilder;
use tidegate::clickhouse::Storage;
use tidegate::error::Remedy;
use tidegate::offset::Partition;
use tidegate::outcome::Rewrite;
use tidegate::sink::{Block, Insert, InsertError};
use tidegate_client::Consistency;
use tidegate_tests::clickhouse::Database;
use tidegate_tests::pipeline::Bed;
use tidegate_tests::replicas::{Nodes, Reading, ask, cluster, hosts};
use tidegate_tests::tidegate::{Tidegate, wait_until};
use tidegate_tests::{runtime, servers};

const MINUTE: Duration = Duration::from_secs(60);
/// Of one insert; a quorum has three quarters of it.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Sent in one go by the test of the whole.
const STEP: u64 = 2000;

/// Tests take turns: they stop its nodes.
static NODES: LazyLock<Mutex<Option<Nodes>>> = LazyLock::new(|| {
    Mutex::new(Nodes::start(&servers::folder("replicas"), 3).unwrap_or_else(|error| panic!("{error:#}")))
});

fn nodes() -> MutexGuard<'static, Option<Nodes>> {
    NODES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ports(nodes: &Nodes, order: &[usize]) -> Vec<u16> {
    order.iter().map(|node| nodes.port(*node)).collect()
}

fn on(nodes: &Nodes, node: usize, sql: &str) {
    ask(nodes.port(node)).unwrap().run(sql).unwrap();
}

fn fetches(nodes: &Nodes, what: &str, table: &str, on_nodes: &[usize]) {
    on_nodes.iter().for_each(|node| on(nodes, *node, &format!("SYSTEM {what} FETCHES {table}")));
}

/// A table of one number on all nodes.
fn create(nodes: &Nodes, table: &str) {
    for node in 1..=3 {
        let engine = format!("ReplicatedReplacingMergeTree('/tables/{table}', '{{replica}}')");
        on(nodes, node, &format!("CREATE TABLE {table} (n UInt8) ENGINE = {engine} ORDER BY n"));
    }
}

fn storage(nodes: &Nodes, table: &str, order: &[usize], consistency: Consistency) -> Storage {
    Storage::new(table, cluster(&ports(nodes, order), TIMEOUT), table, TIMEOUT).with_consistency(consistency)
}

fn block(number: u8) -> Block {
    let mut builder = BlockBuilder::new();
    builder.append(&[number], 1);
    builder.finish(format!("block-{number}"), ["n".to_owned()].into())
}

fn insert(storage: &Storage, number: u8) -> Result<(), InsertError> {
    runtime().block_on(storage.insert(&block(number), 1))
}

/// The same block until it is taken, as the pipeline does it.
async fn insist(storage: &Storage, number: u8) -> Vec<InsertError> {
    let mut errors = Vec::new();
    for attempt in 1..1000 {
        match storage.insert(&block(number), attempt).await {
            Ok(()) => return errors,
            Err(error) => errors.push(error),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never taken: {:?}", errors.last())
}

fn counts<const N: usize>(reading: &Reading, table: &str) -> [u64; N] {
    [(); N].map(|()| reading.count(table).unwrap())
}

#[test]
fn replicas_show_what_the_profile_promises_and_no_more() {
    let nodes = nodes();
    let Some(nodes) = nodes.as_ref() else { return };
    create(nodes, "promises");
    fetches(nodes, "STOP", "promises", &[3]);
    let reading = |order: &[usize], profile| Reading::new(&ports(nodes, order), profile).unwrap();
    let write = |number, profile| insert(&storage(nodes, "promises", &[1, 2, 3], profile), number).unwrap();

    write(1, Consistency::Eventual);
    assert_eq!(counts(&reading(&[1, 3], Consistency::Eventual), "promises"), [1, 0, 1, 0]);
    // The node that is asked would take the rows, and read its own, but for the order.
    let all = "CREATE TABLE promises_all AS promises ENGINE = Distributed(c1, default, promises)";
    on(nodes, 3, all);
    insert(&storage(nodes, "promises_all", &[3], Consistency::InOrder), 2).unwrap();
    assert_eq!(counts(&reading(&[3], Consistency::InOrder), "promises_all"), [2, 2, 2]);
    assert_eq!(counts(&reading(&[1, 3], Consistency::InOrder), "promises"), [2, 2, 2]);
    assert_eq!(reading(&[3], Consistency::Eventual).count("promises_all").unwrap(), 0);
    // A majority is the first and the second, and the second has it at once.
    for number in 3..13 {
        write(number, Consistency::InOrderQuorum);
        assert_eq!(reading(&[2], Consistency::InOrderQuorum).count("promises").unwrap(), u64::from(number));
    }
    write(13, Consistency::Quorum);
    assert_eq!(counts(&reading(&[1, 2, 3], Consistency::Quorum), "promises"), [13, 13, 0]);
    write(14, Consistency::ShardLocal);
    assert_eq!(counts(&reading(&[1, 3], Consistency::ShardLocal), "promises"), [14, 14]);
    write(15, Consistency::Synced);
    let synced = reading(&[3], Consistency::Synced);
    let waits = synced.count("promises").unwrap_err().to_string();
    assert!(waits.contains("failed to reach"), "{waits}");
    fetches(nodes, "START", "promises", &[3]);
    assert_eq!(synced.count("promises").unwrap(), 15);
}

#[test]
fn replicas_that_do_not_confirm_get_the_same_block_until_they_do() {
    let nodes = nodes();
    let Some(nodes) = nodes.as_ref() else { return };
    create(nodes, "unconfirmed");
    fetches(nodes, "STOP", "unconfirmed", &[2, 3]);
    let first = storage(nodes, "unconfirmed", &[1, 2, 3], Consistency::InOrderQuorum);
    for attempt in 1..=2 {
        let error = insert(&first, 1).unwrap_err();
        assert_eq!((error.code, error.remedy), (Some(319), Remedy::Retry), "attempt {attempt}: {error}");
        assert!(error.message.contains(&hosts(&ports(nodes, &[1]))[0]), "{error}");
    }
    fetches(nodes, "START", "unconfirmed", &[2, 3]);
    let errors = runtime().block_on(insist(&first, 1));
    println!("taken after {} more errors", errors.len());
    // Another host gets it after a lost answer, and knows the token.
    insert(&storage(nodes, "unconfirmed", &[3], Consistency::InOrderQuorum), 1).unwrap();
    for node in 1..=3 {
        assert_eq!(Reading::new(&ports(nodes, &[node]), Consistency::Synced).unwrap().count("unconfirmed").unwrap(), 1);
    }
}

#[test]
fn replicas_under_sequential_take_one_insert_at_a_time_and_refuse_what_is_stale() {
    let nodes = nodes();
    let Some(nodes) = nodes.as_ref() else { return };
    create(nodes, "one_by_one");
    let profile = Consistency::Sequential;
    let ours = storage(nodes, "one_by_one", &[1, 2, 3], profile);
    let theirs = storage(nodes, "one_by_one", &[1, 2, 3], profile);
    let reading = |order: &[usize]| Reading::new(&ports(nodes, order), profile).unwrap();
    let numbered = [1, 2, 3, 4].map(block);
    let results = runtime().block_on(join_all(numbered.iter().map(|block| ours.insert(block, 1))));
    assert!(results.iter().all(Result::is_ok), "the inserts of one process are in each other's way: {results:?}");
    // Another process knows nothing of the turn; ClickHouse refuses, and refuses only for now.
    let both = async { tokio::join!(insist(&ours, 5), insist(&theirs, 6)) };
    let (of_ours, of_theirs) = runtime().block_on(both);
    let codes: Vec<_> = of_ours.iter().chain(&of_theirs).map(|error| (error.code, error.remedy)).collect();
    assert!(codes.iter().all(|error| *error == (Some(286), Remedy::Retry)), "{codes:?}");
    assert_eq!(reading(&[1]).count("one_by_one").unwrap(), 6);

    fetches(nodes, "STOP", "one_by_one", &[3]);
    insert(&ours, 7).unwrap();
    let stale = reading(&[3]).count("one_by_one").unwrap_err().to_string();
    assert!(stale.contains("code 289"), "{stale}");
    assert_eq!(counts(&reading(&[3, 1, 2]), "one_by_one"), [7, 7]);
    // A rewrite reads before it writes: not where rows are missing.
    let rewrite = Rewrite {
        output: 0,
        partition: Partition::new("replacements", 0),
        offset: 7,
        columns: vec![("n".into(), "n + 100".into())],
        predicate: "n < 8".into(),
    };
    let stale_first = storage(nodes, "one_by_one", &[3, 1, 2], profile);
    let cost = runtime().block_on(stale_first.rewrite(&rewrite, 0)).unwrap();
    assert_eq!(cost.rows_written, 7);
    assert_eq!(reading(&[1]).count("one_by_one").unwrap(), 14);
    fetches(nodes, "START", "one_by_one", &[3]);
}

/// A database with the table of the guest on every node.
fn replicated_poison(nodes: &Nodes, database: &str) -> Vec<Database> {
    let databases = (1..=3).map(|node| {
        let database = Database::create(nodes.port(node), database).unwrap();
        database
            .run(&poison("poison", &format!("ReplicatedMergeTree('/{}/poison', '{{replica}}')", database.name)))
            .unwrap();
        database
    });
    databases.collect()
}

/// A table like the guest's, with another name and engine.
fn poison(table: &str, engine: &str) -> String {
    let schema = include_str!("../guests/poison/schema.sql");
    schema
        .replace("EXISTS poison", &format!("EXISTS {table}"))
        .replace("ENGINE = MergeTree", &format!("ENGINE = {engine}"))
}

#[test]
fn replicas_that_die_under_the_host_have_every_row_once() {
    let mut nodes = nodes();
    let Some(nodes) = nodes.as_mut() else { return };
    let databases = replicated_poison(nodes, "whole");
    let urls = hosts(&ports(nodes, &[1, 2, 3])).join("\", \"");
    let bed = Bed::at("replicas-whole", 2, databases[0].clone(), urls).unwrap();
    let config = bed.config().replace("table: poison }", "table: poison, consistency: in-order+quorum }");
    let tidegate = Tidegate::run(&bed.folder, "whole", &config).unwrap();
    let mut sent = 0;
    let mut send = |steps: u64| {
        bed.send((sent..sent + steps * STEP).map(|id| (id, "row"))).unwrap();
        sent += steps * STEP;
        sent
    };
    let written = |database: &Database| database.number("SELECT count() FROM poison").unwrap_or(0);
    let wait = |done: &dyn Fn() -> bool| {
        wait_until(MINUTE, || Ok(done())).unwrap_or_else(|error| panic!("{error}: {}", tidegate.log()));
    };
    for (round, node) in [1, 2, 1].into_iter().enumerate() {
        let before = send(1);
        wait(&|| written(&databases[2]) > before - STEP);
        nodes.kill(node).unwrap();
        send(2);
        wait(&|| bed.is_done().unwrap());
        if round == 0 {
            // The second host has them, and was told what is promised; a node that was killed has no log any more.
            assert_eq!(said_to(&databases[1]), "1\tin_order\tauto\t15000");
        }
        nodes.restart(node).unwrap();
    }
    let sent = send(1);
    wait(&|| bed.is_done().unwrap());
    for database in &databases {
        database.run("SYSTEM SYNC REPLICA poison").unwrap();
        assert_eq!(written(database), sent);
        assert_eq!(database.number("SELECT uniqExact(id) FROM poison").unwrap(), sent);
    }
    assert_eq!(bed.letters().unwrap().len(), 0);
    assert_eq!(tidegate.terminate().unwrap().code(), Some(143));
}

/// With each insert, as the server saw it.
fn said_to(database: &Database) -> String {
    database.run("SYSTEM FLUSH LOGS").unwrap();
    let names = ["distributed_foreground_insert", "load_balancing", "insert_quorum", "insert_quorum_timeout"];
    let values: Vec<_> = names.iter().map(|name| format!("Settings['{name}']")).collect();
    let sql = format!(
        "SELECT DISTINCT {} FROM system.query_log WHERE query_kind = 'Insert' AND current_database = '{}'",
        values.join(", "),
        database.name
    );
    database.run(&sql).unwrap().trim().to_owned()
}

/// What `dry-run` says of profiles and the tables that are there: `configs/consistency/dry-run.txt`; `run` refuses the same.
#[test]
fn replicas_are_looked_at_before_anything_is_written() {
    let nodes = nodes();
    let Some(nodes) = nodes.as_ref() else { return };
    let bed = Bed::at("replicas-look", 1, ask(nodes.port(1)).unwrap(), hosts(&ports(nodes, &[1])).remove(0)).unwrap();
    let mut storages = Vec::new();
    for (table, engine, replicas, profile) in [
        ("one_a", "MergeTree", 1, "quorum"),
        ("one_b", "MergeTree", 1, "in-order"),
        ("one_c", "MergeTree", 3, "eventual"),
        ("two", "Replicated", 2, "in-order+quorum"),
        ("three_a", "Replicated", 3, "quorum"),
        ("three_b", "Replicated", 3, "sequential"),
        ("three_c", "Replicated", 3, "synced"),
        ("spread_a", "Distributed(c1, default, three_a, id)", 1, "in-order+quorum"),
        ("spread_b", "Distributed(c1, default, three_b, id)", 1, "shard-local"),
        ("spread_c", "Distributed(c1, default, three_c, id)", 1, "synced"),
        ("spread_d", "Distributed(c1, default, one_c, id)", 1, "sequential"),
    ] {
        for node in 1..=replicas {
            let engine = match engine {
                "Replicated" => format!("ReplicatedMergeTree('/look/{table}', '{{replica}}')"),
                other => other.to_owned(),
            };
            let statement = poison(table, &engine);
            let statement = if engine.starts_with("Distributed") { unordered(&statement) } else { statement };
            on(nodes, node, &statement);
        }
        storages.push((table, profile));
    }
    let config = |storages: &[(&str, &str)]| {
        let names: Vec<_> = storages.iter().map(|(table, _)| *table).collect();
        let lines = storages.iter().map(|(table, profile)| {
            format!("  {table}: {{ cluster: main, table: {table}, consistency: {profile} }}\n")
        });
        let config = bed.config().replace("  poison: { cluster: main, table: poison }\n", &lines.collect::<String>());
        config.replace("[poison]", &format!("[{}]", names.join(", ")))
    };
    let looked = bed.command_of(&config(&storages), &["dry-run"], &[]).unwrap();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/consistency/dry-run.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden, &looked.out).unwrap();
    }
    assert_eq!(looked.out, std::fs::read_to_string(golden).unwrap(), "{}", looked.err);
    assert_eq!(looked.code, Some(4));

    let mut refused = Tidegate::run(&bed.folder, "refused", &config(&[("one_a", "quorum")])).unwrap();
    assert_eq!(refused.end().unwrap().code(), Some(4));
    let why = "storage \"one_a\": consistency quorum: table \"one_a\" has engine MergeTree, which keeps one copy";
    assert!(refused.log().contains(why), "{}", refused.log());
}

/// A Distributed table has no order.
fn unordered(statement: &str) -> String {
    statement.split("ORDER BY").next().unwrap_or_default().to_owned()
}
