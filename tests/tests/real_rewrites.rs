//! Rewrites on the real servers: each between the rows before and after it, and none that says more than it means.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tidegate_tests::clickhouse::Database;
use tidegate_tests::kafka::{self, Sender};
use tidegate_tests::pipeline::Bed;
use tidegate_tests::proxy::{Fault, Proxy};
use tidegate_tests::servers;
use tidegate_tests::tidegate::{Tidegate, wait_until};

fn tables(name: &str) -> Database {
    let database = servers::database(name);
    database.run_all(include_str!("../../processors/errors/schema.sql")).unwrap();
    database.run_all(include_str!("../../processors/replacements/schema.sql")).unwrap();
    database.run("ALTER TABLE errors REMOVE TTL").unwrap();
    database
}

/// Inserts go by `late`, rewrites straight to the server.
fn config(kafka: &str, database: &str, late: &str) -> String {
    let module = |name: &str| servers::module(name).display().to_string();
    format!(
        "version: 1
kafka: {{ brokers: {kafka} }}
clickhouse:
  main: {{ hosts: [\"{}\"], database: {database} }}
  late: {{ hosts: [\"{late}\"], database: {database} }}
modules: {{ errors: {{ source: \"file:{}\" }}, replacements: {{ source: \"file:{}\" }} }}
storages:
  late: {{ cluster: late, table: errors }}
  errors: {{ cluster: main, table: errors }}
  flags: {{ cluster: main, table: replacement_flags }}
pipelines:
  errors:
    topic: behind-in
    group: behind-errors
    module: errors
    outputs: {{ errors: [late] }}
    batch: {{ rows: 7, time: 50ms }}
    replacements: {{ topic: behind-replacements }}
    dead_letters: {{ topic: behind-dlq }}
  replacements:
    topic: behind-replacements
    group: behind-replacements
    module: replacements
    outputs: {{ errors: [errors], flags: [flags] }}
    dead_letters: {{ topic: behind-dlq }}
admin: {{ listen: \"{{admin}}\" }}
",
        servers::clickhouse(),
        module("errors"),
        module("replacements"),
    )
}

fn event(project: u64) -> Value {
    let id = format!("{project:032x}");
    let data = json!({"type": "error", "received": 1_795_177_815.5});
    let at = "2026-11-20T12:30:15.250000Z";
    let event = json!({"project_id": project, "group_id": 1, "event_id": id, "primary_hash": id, "message": "m", "datetime": at, "data": data});
    json!([2, "insert", event, {}])
}

fn merge(project: u64) -> Value {
    let at = "2026-11-20T12:30:16.000000Z";
    json!([2, "end_merge", {"project_id": project, "previous_group_ids": [1], "new_group_id": 2, "datetime": at}])
}

#[test]
fn real_a_replacement_right_behind_its_event_never_misses_it() {
    const TRIALS: u64 = 1000;
    const BURST: u64 = 25;
    let (kafka, database) = (servers::kafka(), tables("behind"));
    let runtime = tidegate_tests::runtime();
    let topics = [("behind-in", 4), ("behind-replacements", 2), ("behind-dlq", 1)];
    runtime.block_on(kafka::create_topics(&kafka, &topics)).unwrap();
    let folder = servers::folder("behind");
    // A replacement that did not wait for its row would be there first.
    let proxy = Proxy::before_shared().unwrap();
    proxy.set(Fault::Late);
    let config = config(&kafka, &database.name, &proxy.url());
    let mut tidegate = Tidegate::run(&folder, "behind", &config).unwrap();
    let sender = Sender::new(&kafka, "behind-in").unwrap();
    // In bursts, so that the rewrites have caught up whenever rows and replacements come together again.
    for last in (BURST..=TRIALS).step_by(BURST as usize) {
        for project in last - BURST + 1..=last {
            for message in [event(project), merge(project)] {
                sender.send(None, &project.to_string(), Some(message.to_string().as_bytes())).unwrap();
            }
        }
        sender.flush().unwrap();
        wait_until(Duration::from_secs(60), || {
            assert!(tidegate.is_running(), "{}", tidegate.log());
            let metrics = tidegate.get("/metrics").unwrap_or_default();
            Ok(metrics.contains(&format!("{{pipeline=\"replacements\",of=\"rewrite\"}} {last}\n")))
        })
        .unwrap_or_else(|error| panic!("{last} rewrites: {error}\n{}", tidegate.log()));
    }
    for (topic, group) in [("behind-in", "behind-errors"), ("behind-replacements", "behind-replacements")] {
        wait_until(Duration::from_secs(120), || {
            assert!(tidegate.is_running(), "{}", tidegate.log());
            let ends = kafka::ends(&kafka, topic)?;
            let Ok(committed) = kafka::committed(&kafka, group, topic) else { return Ok(false) };
            Ok(ends.iter().all(|(partition, end)| *end == 0 || committed.get(partition) == Some(end)))
        })
        .unwrap_or_else(|error| panic!("{topic}: {error}\n{}", tidegate.log()));
    }
    let groups = database.run("SELECT group_id, count() FROM errors FINAL WHERE NOT deleted GROUP BY ALL").unwrap();
    assert_eq!(groups, format!("2\t{TRIALS}\n"));

    let metrics = tidegate.get("/metrics").unwrap();
    let value = |name: &str| -> f64 {
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let of_storage = "{pipeline=\"replacements\",of=\"errors\"}";
    assert_eq!(value("tidegate_outcomes_total{pipeline=\"replacements\",of=\"rewrite\"}"), TRIALS as f64);
    assert_eq!(value(&format!("tidegate_rewrite_rows_total{of_storage}")), TRIALS as f64);
    assert!(value(&format!("tidegate_rewrite_rows_read_total{of_storage}")) >= TRIALS as f64);
    assert!(value(&format!("tidegate_rewrite_bytes_read_total{of_storage}")) > 0.0);
    assert_eq!(value(&format!("tidegate_rewrite_seconds_count{of_storage}")), TRIALS as f64);

    let mut show = Command::new(servers::built("tidegate"));
    show.args(["--json", "flags", "show", "behind.yaml", "--project", "17"]).current_dir(&folder);
    let shown = show.output().unwrap();
    let line: Value = serde_json::from_slice(&shown.stdout).unwrap_or_else(|error| panic!("{error}: {shown:?}"));
    assert_eq!((&line["flag"], &line["group_id"]), (&json!("exclude_group"), &json!(1)));
    assert_eq!(tidegate.terminate().unwrap().code(), Some(143));
}

#[test]
fn real_rows_before_a_rewrite_are_rewritten_and_rows_after_it_are_not() {
    const MESSAGES: u64 = 4000;
    let is_rewrite = |id: u64| id % 101 == 100;
    let mut bed = Bed::new("between", 2).unwrap();
    bed.database.run("DROP TABLE poison").unwrap();
    let schema = include_str!("../guests/poison/schema.sql").replace("= MergeTree", "= ReplacingMergeTree");
    bed.database.run(&schema).unwrap();
    bed.batch = "{ rows: 64, time: 50ms }".into();
    bed.send((0..MESSAGES).map(|id| (id, if is_rewrite(id) { "rewrite" } else { "row" }))).unwrap();
    let mut tidegate = bed.start("one").unwrap();
    wait_until(Duration::from_secs(120), || {
        assert!(tidegate.is_running(), "{}", tidegate.log());
        bed.is_done()
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", tidegate.log()));
    let notes = bed.database.run("SELECT id, note FROM poison FINAL ORDER BY id").unwrap();
    let expected = (0..MESSAGES).filter(|id| !is_rewrite(*id)).map(|id| {
        // The next rewrite of its partition.
        let rewrite = (id..MESSAGES).step_by(2).find(|later| is_rewrite(*later));
        rewrite.map_or_else(|| format!("{id}\tnumber {id}\n"), |rewrite| format!("{id}\tbefore {rewrite}\n"))
    });
    assert_eq!(notes, expected.collect::<String>());
    assert!(bed.letters().unwrap().is_empty());
}

const HOSTILE: &[&str] = &[
    "'",
    "\\",
    "`",
    "\"",
    "\0",
    "\n",
    "\r",
    "\t",
    "\u{1a}",
    "\u{a0}",
    "’",
    "‘",
    "\u{2028}",
    "\u{feff}",
    "$$",
    "$a$",
    "--",
    "/*",
    "*/",
    "#",
    ";",
    "(",
    ")",
    ",",
    "?",
    "{a:String}",
    "%",
    "\\'",
    "''",
    "\\\\'",
    "\\x27",
    "\\u0027",
    "\\0",
    "\\N",
    "') OR 1 --",
    "' OR '1' = '1",
    "'); DROP TABLE errors; --",
    "\\') UNION ALL SELECT * FROM system.users --",
    "NULL",
    "🦀",
    "ß",
    "0x27",
    "x'27'",
    " ",
    "a",
];

fn hostile(random: &mut StdRng) -> String {
    let parts = random.random_range(0..9);
    (0..parts).map(|_| *HOSTILE.choose(random).unwrap()).collect()
}

/// A message of each kind that takes text: what must be in the statement as it is, if anything, and the message.
fn message(random: &mut StdRng, number: usize) -> (Option<String>, Value) {
    let (text, at) = (hostile(random), "2026-11-20T12:30:16Z");
    match number % 4 {
        0 => {
            let hashes = [&text];
            let body =
                json!({"project_id": 7, "previous_group_id": 1, "new_group_id": 2, "hashes": hashes, "datetime": at});
            (None, json!([2, "end_unmerge", body]))
        }
        1 => {
            // An empty hash is none.
            let hash = format!("{text}.");
            let ids = ["00e24a150d7f4ee4b142b61b4d893b6d"];
            (None, json!([2, "tombstone_events", {"project_id": 7, "event_ids": ids, "old_primary_hash": hash}]))
        }
        _ => {
            let message = json!([2, "end_delete_tag", {"project_id": 7, "tag": text, "datetime": at}]);
            (Some(text), message)
        }
    }
}

/// What the program makes of the messages.
fn processed(messages: &[Value]) -> Vec<Value> {
    let file = servers::folder("hostile").join("messages.jsonl");
    std::fs::write(&file, messages.iter().map(|message| format!("{message}\n")).collect::<String>()).unwrap();
    let mut command = Command::new(servers::built("tidegate"));
    command.args(["process", "--lines", "--module"]).arg(servers::module("replacements")).arg(&file);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn statement(rewrite: &Value) -> String {
    let columns = rewrite["columns"].as_array().unwrap();
    let list = |part: &str| columns.iter().map(|new| new[part].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let names: Vec<_> = list("column").iter().map(|name| format!("`{name}`")).collect();
    let (values, predicate) = (list("expression").join(", "), rewrite["predicate"].as_str().unwrap());
    format!("INSERT INTO errors ({}) SELECT {values} FROM errors FINAL WHERE {predicate}", names.join(", "))
}

#[test]
fn real_hostile_text_stays_in_its_literal() {
    const MESSAGES: usize = 10_000;
    let mut random = StdRng::seed_from_u64(7);
    let (texts, messages): (Vec<_>, Vec<_>) = (0..MESSAGES).map(|number| message(&mut random, number)).unzip();
    let lines = processed(&messages);
    assert_eq!(lines.len(), MESSAGES);
    let mut statements = String::new();
    let mut literals: Vec<(&str, &str)> = Vec::new();
    for ((line, text), message) in lines.iter().zip(&texts).zip(&messages) {
        assert_eq!(line["outcome"], "rewrite", "{message}: {line}");
        let rewrite = &line["rewrites"][0];
        writeln!(statements, "{}", json!({ "statement": statement(rewrite), "kind": message[1] })).unwrap();
        if let Some(text) = text {
            let (_, literal) = rewrite["predicate"].as_str().unwrap().split_once("has(`tags.key`, ").unwrap();
            literals.push((text, literal.strip_suffix(')').unwrap()));
        }
    }
    let database = servers::database("hostile");
    database.run("CREATE TABLE statements (statement String, kind String) ENGINE = Memory").unwrap();
    database.run(&format!("INSERT INTO statements FORMAT JSONEachRow {statements}")).unwrap();
    // ClickHouse's parser reads each as one statement, and of each kind all are the same but for their literals.
    let shapes = "SELECT kind, count(), uniqExact(normalizeQueryKeepNames(formatQuerySingleLine(statement))) \
        FROM statements GROUP BY kind ORDER BY kind";
    let expected = "end_delete_tag\t5000\t1\nend_unmerge\t2500\t1\ntombstone_events\t2500\t1\n";
    assert_eq!(database.run(shapes).unwrap(), expected);
    // And it reads each text as what it was.
    for some in literals.chunks(500) {
        let list: Vec<_> = some.iter().map(|(_, literal)| *literal).collect();
        let read = database.run(&format!("SELECT [{}] AS texts FORMAT JSONEachRow", list.join(", "))).unwrap();
        let read: Value = serde_json::from_str(&read).unwrap();
        for ((text, literal), read) in some.iter().zip(read["texts"].as_array().unwrap()) {
            assert_eq!(read, text, "{literal}");
        }
    }
}
