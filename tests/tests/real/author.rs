//! `tidegate new --from-table` against a real ClickHouse: the project builds, and its rows are rows of the table.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tidegate_tests::servers::{self, built};

const TABLE: &str = "CREATE TABLE visits (id UInt64, at DateTime64(3, 'UTC'), day Date MATERIALIZED toDate(at),
    level LowCardinality(Nullable(String)), price Decimal(18, 4), country FixedString(2), `type` Enum8('a' = 1, 'b' = 2),
    counts Map(String, UInt32), addresses Array(IPv4), retries UInt8 DEFAULT 3, wide UInt256, pair Tuple(UInt8, String),
    tags Nested(key LowCardinality(String), value Nullable(Float64))) ENGINE = MergeTree ORDER BY id";

fn tidegate(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(built("tidegate"));
    command.env("CARGO_TARGET_DIR", built("tidegate").parent().unwrap().join("author"));
    let output = command.args(arguments).current_dir(folder).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}\n{out}\n{err}");
    out
}

#[test]
fn a_project_of_a_real_table_writes_its_rows() {
    let database = servers::database("from_table");
    database.run(TABLE).unwrap();
    let folder = servers::folder("from-table");
    let table = format!("{}.visits", database.name);
    tidegate(&folder, &["new", "visits", "--from-table", &table, "--clickhouse", &servers::clickhouse()]);
    let project = folder.join("visits");
    let tested = tidegate(&project, &["test", "--update"]);
    assert!(tested.contains("written  sample"), "{tested}");
    tidegate(&project, &["build"]);

    let inspected: Value = serde_json::from_str(&tidegate(&project, &["inspect", "visits.wasm", "--json"])).unwrap();
    let columns = inspected["manifest"]["outputs"][0]["columns"].as_array().unwrap();
    let declared: Vec<_> = columns.iter().map(|c| (c["name"].as_str().unwrap(), c["type"].as_str().unwrap())).collect();
    let described = database.run("DESCRIBE TABLE visits FORMAT TSVRaw").unwrap();
    let mut real: Vec<(&str, &str)> = Vec::new();
    for line in described.lines().filter(|line| !line.contains("MATERIALIZED")) {
        let mut fields = line.split('\t');
        real.push((fields.next().unwrap(), fields.next().unwrap()));
    }
    assert_eq!(declared, real);

    // The statement makes the same table elsewhere, and the row of the sample goes in.
    let schema = fs::read_to_string(project.join("schema.sql")).unwrap();
    let elsewhere = servers::database("from_table_elsewhere");
    elsewhere.run_all(&schema).unwrap();
    let expected: Value =
        serde_json::from_slice(&fs::read(project.join("fixtures/sample.expected.json")).unwrap()).unwrap();
    elsewhere.run(&format!("INSERT INTO visits FORMAT JSONEachRow {}", expected["rows"][0]["row"])).unwrap();
    assert_eq!(elsewhere.number("SELECT count() FROM visits WHERE length(tags.key) = 1").unwrap(), 1);
}
