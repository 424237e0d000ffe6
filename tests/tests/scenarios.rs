//! Every folder of `scenarios/` is a test: `tidegate run` on real Kafka and real ClickHouse.
//!
//! ```text
//! pipeline.yaml         the configuration; {kafka}, {clickhouse}, {database}, {modules}, {folder}, {admin} are filled in
//! schema.sql            statements run first; `-- include PATH` takes in a file of the repository
//! messages.jsonl        {"partition", "key", "value": JSON or "text": … or "file": path from the repository, "headers"};
//!                       none of the three: null. A file may lie outside of the repository: the scenario needs it in CI
//! query.sql, rows.jsonl what ClickHouse must answer at the end, in FORMAT JSONEachRow; queries end with semicolons
//! dead_letters.jsonl    {"key", "reason", "offset"}, by partition and offset; may be missing: none
//! replacements.jsonl    {"key", "value"}, in order; may be missing: none
//! commit_log.jsonl      {"key", "offset"}: the last record of each key
//! ```
//! A pipeline that reads `{name}-replacements` must have the group `{name}-replacements-group`; its end is waited for.
//! `UPDATE_GOLDEN=1` writes the expected files anew.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tidegate::clickhouse::statements;
use tidegate_tests::kafka::{self, Read};
use tidegate_tests::servers;
use tidegate_tests::tidegate::{Tidegate, wait_until};

const TOPICS: [(&str, i32); 4] = [("in", 2), ("commit-log", 1), ("replacements", 1), ("dlq", 1)];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn from_root(path: &str) -> PathBuf {
    root().join("..").join(path)
}

/// The first file that messages of the folder are in and that is not there.
fn missing(folder: &Path) -> Option<String> {
    let messages = fs::read_to_string(folder.join("messages.jsonl")).unwrap();
    let files = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).unwrap();
        message["file"].as_str().map(str::to_owned)
    });
    files.into_iter().find(|path| !from_root(path).exists())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn schema(folder: &Path) -> String {
    let lines = fs::read_to_string(folder.join("schema.sql")).unwrap();
    let line = |line: &str| match line.strip_prefix("-- include ") {
        Some(path) => fs::read_to_string(from_root(path)).unwrap(),
        None => line.to_owned(),
    };
    lines.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn send(kafka: &str, topic: &str, folder: &Path) {
    let sender = kafka::Sender::new(kafka, topic).unwrap();
    for line in fs::read_to_string(folder.join("messages.jsonl")).unwrap().lines() {
        let message: Value = serde_json::from_str(line).unwrap();
        let value = message.get("value").map(Value::to_string);
        let text = value.or_else(|| message["text"].as_str().map(str::to_owned));
        let payload =
            text.or_else(|| message["file"].as_str().map(|path| fs::read_to_string(from_root(path)).unwrap()));
        let partition = message["partition"].as_i64().unwrap() as i32;
        let (key, payload) = (message["key"].as_str().unwrap(), payload.as_deref().map(str::as_bytes));
        let headers = message["headers"].as_object().into_iter().flatten();
        let headers: Vec<_> = headers.map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
        sender.send_with(Some(partition), key, payload, &headers).unwrap();
    }
    sender.flush().unwrap();
}

/// Compares with the file, line by line.
fn compare(folder: &Path, file: &str, found: &[Value]) -> Vec<String> {
    let path = folder.join(file);
    let lines: String = found.iter().map(|line| format!("{line}\n")).collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() && !lines.is_empty() {
        fs::write(&path, &lines).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let expected: Vec<Value> = expected.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut wrong = Vec::new();
    for number in 0..expected.len().max(found.len()) {
        let (wanted, got) = (expected.get(number), found.get(number));
        if wanted != got {
            let show = |value: Option<&Value>| value.map_or("nothing".into(), Value::to_string);
            wrong.push(format!("{file}:{}\n  expected {}\n  found    {}", number + 1, show(wanted), show(got)));
        }
    }
    wrong
}

fn run(folder: &Path) -> Vec<String> {
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    let kafka = servers::kafka();
    let database = servers::database(&format!("scenario_{}", name.replace('-', "_")));
    database.run_all(&schema(folder)).unwrap();
    let topic = |suffix: &str| format!("{name}-{suffix}");
    let topics = TOPICS.map(|(suffix, partitions)| (topic(suffix), partitions));
    let topics: Vec<(&str, i32)> = topics.iter().map(|(name, partitions)| (name.as_str(), *partitions)).collect();
    tidegate_tests::runtime().block_on(kafka::create_topics(&kafka, &topics)).unwrap();
    send(&kafka, &topic("in"), folder);
    let config = fs::read_to_string(folder.join("pipeline.yaml")).unwrap();
    let modules = servers::module("errors").parent().unwrap().display().to_string();
    let config = [
        ("{kafka}", &kafka),
        ("{clickhouse}", &servers::clickhouse()),
        ("{database}", &database.name),
        ("{modules}", &modules),
        ("{folder}", &folder.display().to_string()),
        ("{name}", &name),
    ]
    .iter()
    .fold(config, |config, (mark, value)| config.replace(mark, value));
    let mut tidegate = Tidegate::run(&servers::folder(&name), &name, &config).unwrap();
    wait_for_the_end(&mut tidegate, &kafka, &topic("in"), &topic("group"));
    if config.contains(&topic("replacements-group")) {
        wait_for_the_end(&mut tidegate, &kafka, &topic("replacements"), &topic("replacements-group"));
    }
    assert_eq!(tidegate.terminate().unwrap().code(), Some(143), "{name}: exit code after SIGTERM");

    let ask = |query: &String| database.run(&format!("{query} FORMAT JSONEachRow")).unwrap();
    let queries = statements(&fs::read_to_string(folder.join("query.sql")).unwrap());
    let answers: String = queries.iter().map(ask).collect();
    let rows: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let letter = |read: Read| {
        let header = |name: &str| read.headers.get(name).cloned();
        json!({ "key": text(&read.key), "reason": header("tidegate-reason"), "offset": header("tidegate-offset") })
    };
    let mut letters = kafka::read_all(&kafka, &topic("dlq")).unwrap();
    // Partitions are read side by side.
    letters.sort_by_key(|read| {
        ["tidegate-partition", "tidegate-offset"].map(|name| read.headers[name].parse::<i64>().unwrap())
    });
    let letters: Vec<Value> = letters.into_iter().map(letter).collect();
    let replacement = |read: Read| {
        let value = read.value.map(|value| serde_json::from_slice::<Value>(&value).unwrap());
        json!({ "key": text(&read.key), "value": value })
    };
    let replaced = kafka::read_all(&kafka, &topic("replacements")).unwrap().into_iter().map(replacement);
    let replaced: Vec<Value> = replaced.collect();
    let mut said = BTreeMap::new();
    for record in kafka::read_all(&kafka, &topic("commit-log")).unwrap() {
        let value: Value = serde_json::from_slice(&record.value.unwrap()).unwrap();
        said.insert(text(&record.key), value["offset"].clone());
    }
    let said: Vec<Value> = said.into_iter().map(|(key, offset)| json!({ "key": key, "offset": offset })).collect();
    let mut wrong = compare(folder, "rows.jsonl", &rows);
    wrong.extend(compare(folder, "dead_letters.jsonl", &letters));
    wrong.extend(compare(folder, "replacements.jsonl", &replaced));
    wrong.extend(compare(folder, "commit_log.jsonl", &said));
    wrong
}

/// Until the group has committed all that is in the topic.
fn wait_for_the_end(tidegate: &mut Tidegate, kafka: &str, topic: &str, group: &str) {
    let ends = kafka::ends(kafka, topic).unwrap();
    wait_until(Duration::from_secs(60), || {
        assert!(tidegate.is_running(), "{}", tidegate.log());
        let Ok(committed) = kafka::committed(kafka, group, topic) else { return Ok(false) };
        Ok(ends.iter().all(|(partition, end)| *end == 0 || committed.get(partition) == Some(end)))
    })
    .unwrap_or_else(|error| panic!("{topic}: {error}\n{}", tidegate.log()));
}

#[test]
fn real_every_folder_comes_out_as_it_says() {
    let mut folders: Vec<_> =
        fs::read_dir(root().join("scenarios")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 3, "only {} scenarios were found", folders.len());
    let mut wrong = Vec::new();
    for folder in &folders {
        if let Some(file) = missing(folder) {
            assert!(std::env::var_os("CI").is_none(), "{}: {file} is not there", folder.display());
            println!("skipped {}: {file} is not part of this repository", folder.display());
            continue;
        }
        let found = run(folder);
        println!("{}  {}", if found.is_empty() { "ok   " } else { "wrong" }, folder.display());
        wrong.extend(found.into_iter().map(|text| format!("{}/{text}", folder.display())));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
