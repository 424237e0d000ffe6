//! Rows of every type, written to a real ClickHouse and read back; and what its refusals mean.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tidegate::block::BlockBuilder;
use tidegate::clickhouse::{Cluster, Settings, Storage, Tls};
use tidegate::error::Remedy;
use tidegate::offset::Partition;
use tidegate::outcome::Rewrite;
use tidegate::sink::{Cost, Insert};
use tidegate_rows::{Layout, encode, json, validate};
use tidegate_tests::tidegate::wait_until;
use tidegate_tests::{runtime, servers};

/// For one rewrite.
const PATIENCE: Duration = Duration::from_secs(60);

/// Column type, and the bytes of a value.
fn values() -> Vec<(&'static str, Vec<u8>)> {
    let wide = |value: i128| [value.to_le_bytes(), if value < 0 { [0xff; 16] } else { [0; 16] }].concat();
    vec![
        ("UInt8", vec![7]),
        ("Int16", vec![0xfe, 0xff]),
        ("UInt32", 70_000u32.to_le_bytes().to_vec()),
        ("Int64", i64::MIN.to_le_bytes().to_vec()),
        ("UInt64", u64::MAX.to_le_bytes().to_vec()),
        ("Int128", (-(1i128 << 100)).to_le_bytes().to_vec()),
        ("UInt256", wide(1 << 120)),
        ("Int256", wide(-5)),
        ("Float32", 0.1f32.to_le_bytes().to_vec()),
        ("Float64", 1e21f64.to_le_bytes().to_vec()),
        ("Bool", vec![1]),
        ("String", b"\x06\xc3\xa4\"\n\\x".to_vec()),
        ("LowCardinality(Nullable(String))", b"\x00\x02ab".to_vec()),
        ("FixedString(3)", b"abc".to_vec()),
        ("UUID", (1..=16).collect()),
        ("Date", vec![0x29, 0x51]),
        ("Date32", (-25_567i32).to_le_bytes().to_vec()),
        ("DateTime('UTC')", 1_677_512_412u32.to_le_bytes().to_vec()),
        ("DateTime64(3, 'UTC')", (-1i64).to_le_bytes().to_vec()),
        ("DateTime64(6, 'UTC')", 1_677_512_412_223_001i64.to_le_bytes().to_vec()),
        ("Decimal(9, 2)", (-123i32).to_le_bytes().to_vec()),
        ("Decimal(18, 4)", 10_000i64.to_le_bytes().to_vec()),
        ("Enum8('a' = 1, 'it\\'s' = -2)", vec![0xfe]),
        ("Enum16('big' = 300)", vec![0x2c, 0x01]),
        ("IPv4", vec![4, 3, 2, 1]),
        ("IPv6", [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[1]].concat()),
        ("Nullable(UInt32)", vec![1]),
        ("Array(Nullable(UInt8))", vec![3, 0, 1, 1, 0, 3]),
        ("Map(String, UInt8)", b"\x02\x01a\x01\x01b\x02".to_vec()),
        ("Tuple(UInt8, String)", b"\x01\x01a".to_vec()),
        ("Tuple(x UInt8, y Array(String))", b"\x01\x01\x01a".to_vec()),
    ]
}

fn cluster(database: &str) -> Arc<Cluster> {
    Arc::new(Cluster::new(Settings {
        hosts: vec!["http://127.0.0.1:9".into(), servers::clickhouse()],
        tls: Tls::default(),
        database: database.into(),
        user: "default".into(),
        password: Default::default(),
        timeout: Duration::from_secs(20),
    }))
}

#[test]
fn every_type_is_written_and_printed_as_clickhouse_does() {
    let database = servers::database("types");
    let columns: Vec<(String, &str)> =
        values().iter().enumerate().map(|(n, (kind, _))| (format!("c{n}"), *kind)).collect();
    let definitions: Vec<_> = columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
    database.run(&format!("CREATE TABLE t ({}) ENGINE = Memory", definitions.join(", "))).unwrap();
    let row: Vec<u8> = values().into_iter().flat_map(|(_, bytes)| bytes).collect();
    // What DESCRIBE prints is what rows are walked by.
    let described = runtime().block_on(cluster("types").describe("t")).unwrap();
    let layout = Layout::parse(described.iter().map(|column| (column.name.clone(), &column.kind))).unwrap();
    validate(&layout, &row).unwrap();

    let mut builder = BlockBuilder::new();
    let copies = 20_000;
    for _ in 0..copies {
        builder.append(&row, 1);
    }
    let names: Vec<String> = columns.into_iter().map(|(name, _)| name).collect();
    // The first host is not there: the second is used.
    let storage = Storage::new("t", cluster("types"), "t", PATIENCE);
    runtime().block_on(storage.insert(&builder.finish("one".into(), names.into()), 1)).unwrap();
    assert_eq!(database.number("SELECT count() FROM t").unwrap(), copies);

    let settings = "SETTINGS output_format_json_quote_64bit_integers = 0, output_format_json_quote_decimals = 0";
    let theirs = database.run(&format!("SELECT * FROM t LIMIT 1 {settings} FORMAT JSONEachRow")).unwrap();
    let theirs: Map<String, Value> = serde_json::from_str(&theirs).unwrap();
    let ours = json::row(&layout, &row).unwrap();
    for column in layout.columns() {
        let (ours, theirs) = (&ours[&column.name], &theirs[&column.name]);
        // ClickHouse prints wide integers as digits, which few readers of JSON can take; here they are text.
        let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
        let same = ours == theirs || number(ours).is_some_and(|ours| Some(ours) == number(theirs));
        assert!(same, "{}: {ours} and ClickHouse prints {theirs}", column.kind);
    }
}

/// JSON of the values of each type, said in the ways that a guest may say them.
fn spoken() -> Vec<(&'static str, &'static str)> {
    vec![
        ("UInt8", "7"),
        ("UInt64", "\"18446744073709551615\""),
        ("UInt128", "340282366920938463463374607431768211455"),
        ("Int256", "\"-12345678901234567890123456789012345678901234567890\""),
        ("Float32", "1918868.2"),
        ("Float64", "\"nan\""),
        ("Float64", "\"-inf\""),
        ("Float64", "-0.0"),
        ("Bool", "true"),
        ("Bool", "1"),
        ("String", "\"\\u00e4\\ud83c\\udf0a\\n\\u0000\""),
        ("LowCardinality(Nullable(String))", "\"ab\""),
        ("FixedString(3)", "\"ab\""),
        ("UUID", "\"00112233-4455-6677-8899-aabbccddeeff\""),
        ("Date", "\"2149-06-06\""),
        ("Date32", "\"1900-01-01\""),
        ("DateTime('UTC')", "\"2023-02-27 15:40:12\""),
        ("DateTime('UTC')", "1677512412"),
        ("DateTime64(3, 'UTC')", "\"1969-12-31 23:59:59.9\""),
        ("DateTime64(3, 'UTC')", "\"2023-02-27 15:40:12.223999\""),
        ("DateTime64(6, 'UTC')", "1677512412223001"),
        ("Decimal(9, 2)", "-1.239"),
        ("Decimal(18, 4)", "\"12.5\""),
        ("Decimal(76, 40)", "1.0000000000000000000000000000000000000001"),
        ("Decimal(18, 9)", "1e-7"),
        ("Enum8('a' = 1, 'it\\'s' = -2)", "\"it's\""),
        ("Enum16('big' = 300)", "300"),
        ("IPv4", "\"1.2.3.4\""),
        ("IPv6", "\"2001:db8::1\""),
        ("IPv6", "\"1.2.3.4\""),
        ("Nullable(UInt32)", "5"),
        ("Array(Nullable(UInt8))", "[0, null, 3]"),
        ("Map(UInt64, Array(String))", "{\"1\": [\"a\"], \"2\": []}"),
        ("Tuple(UInt8, String)", "[1, \"a\"]"),
        ("Tuple(x UInt8, y Array(String))", "{\"y\": [\"a\"], \"x\": 1}"),
    ]
}

/// ClickHouse reads the line by itself, and what we make of it; both rows must be the same. So must they be where all
/// keys are left out.
#[test]
fn json_is_read_as_clickhouse_reads_it() {
    let database = servers::database("spoken");
    let numbered = spoken().into_iter().enumerate().map(|(n, (kind, value))| (format!("c{n}"), kind, value));
    let nested = [("n.b", "Array(String)", "[\"x\", \"\"]"), ("n.a", "Array(UInt8)", "[1, 2]")];
    let nested = nested.map(|(name, kind, value)| (name.to_owned(), kind, value));
    let columns: Vec<_> = numbered.chain(nested).collect();
    let definitions: Vec<_> = columns.iter().map(|(name, kind, _)| format!("`{name}` {kind}")).collect();
    let members: Vec<_> = columns.iter().rev().map(|(name, _, value)| format!("\"{name}\": {value}")).collect();
    let names: Vec<_> = columns.iter().map(|(name, ..)| name.clone()).collect();
    let layout = Layout::parse(columns.iter().map(|(name, kind, _)| (name.clone(), *kind))).unwrap();

    for (what, line) in [("said", format!("{{{}}}", members.join(", "))), ("left_out", "{}".into())] {
        let (ours, theirs) = (format!("{what}_ours"), format!("{what}_theirs"));
        for table in [&ours, &theirs] {
            database.run(&format!("CREATE TABLE {table} ({}) ENGINE = Memory", definitions.join(", "))).unwrap();
        }
        database.run(&format!("INSERT INTO {theirs} FORMAT JSONEachRow {line}")).unwrap();
        let (mut row, mut builder) = (Vec::new(), BlockBuilder::new());
        encode(&layout, line.as_bytes(), &mut row).unwrap();
        builder.append(&row, 1);
        let storage = Storage::new("t", cluster("spoken"), &ours, PATIENCE);
        runtime().block_on(storage.insert(&builder.finish(what.into(), names.clone().into()), 1)).unwrap();

        let read = |table: &str| database.run(&format!("SELECT * FROM {table} FORMAT Vertical")).unwrap();
        let (ours, theirs) = (read(&ours), read(&theirs));
        assert!(ours.lines().count() > columns.len(), "{ours}");
        let differ = ours.lines().zip(theirs.lines()).filter(|(ours, theirs)| ours != theirs);
        let differ: Vec<_> = differ.map(|(ours, theirs)| format!("{ours}, and ClickHouse reads {theirs}")).collect();
        assert!(differ.is_empty() && ours == theirs, "{what}:\n{}", differ.join("\n"));
    }
}

#[test]
fn refusals_are_told_apart() {
    let database = servers::database("refusals");
    database.run("CREATE TABLE strict (n UInt8, CONSTRAINT small CHECK n < 5) ENGINE = Memory").unwrap();
    let insert = |table: &str, column: &str, byte: u8| {
        let storage = Storage::new("s", cluster("refusals"), table, PATIENCE);
        let mut builder = BlockBuilder::new();
        builder.append(&[byte], 1);
        // Of its own for each: the server still knows the query it has just refused, and says so to one of the same id.
        let token = format!("{table} {column} {byte}");
        runtime().block_on(storage.insert(&builder.finish(token, [column.to_owned()].into()), 1))
    };
    insert("strict", "n", 1).unwrap();
    let unknown = insert("nowhere", "n", 1).unwrap_err();
    assert_eq!((unknown.code, unknown.remedy), (Some(60), Remedy::Hold));
    assert!(
        unknown.message.starts_with("failed to write 1 rows (0.0 MiB) to table \"nowhere\" at http://127.0.0.1"),
        "{unknown}"
    );
    let constraint = insert("strict", "n", 9).unwrap_err();
    assert_eq!((constraint.code, constraint.remedy), (Some(469), Remedy::Hold));
    let column = insert("strict", "m", 1).unwrap_err();
    assert_eq!((column.code, column.remedy), (Some(16), Remedy::Hold));
    assert_eq!(database.number("SELECT count() FROM strict").unwrap(), 1);
}

#[test]
fn the_same_token_is_written_once_where_the_table_deduplicates() {
    let database = servers::database("dedup");
    let engine = "MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100";
    database.run(&format!("CREATE TABLE t (n UInt8) ENGINE = {engine}")).unwrap();
    let storage = Storage::new("t", cluster("dedup"), "t", PATIENCE);
    let mut builder = BlockBuilder::new();
    builder.append(&[1, 2, 3], 3);
    let block = builder.finish("same".into(), ["n".to_owned()].into());
    for attempt in 1..4 {
        runtime().block_on(storage.insert(&block, attempt)).unwrap();
    }
    assert_eq!(database.number("SELECT count() FROM t").unwrap(), 3);
}

fn rewrite(columns: &[(&str, &str)], predicate: &str) -> Rewrite {
    let columns = columns.iter().map(|(column, value)| ((*column).to_owned(), (*value).to_owned())).collect();
    Rewrite { output: 0, partition: Partition::new("replacements", 0), offset: 7, columns, predicate: predicate.into() }
}

#[test]
fn a_rewrite_says_what_it_cost_and_the_same_rows_may_be_written_again() {
    let database = servers::database("rewrite");
    let engine = "ReplacingMergeTree ORDER BY k SETTINGS non_replicated_deduplication_window = 100";
    database.run(&format!("CREATE TABLE t (k UInt64, v String, at DateTime) ENGINE = {engine}")).unwrap();
    database.run("INSERT INTO t SELECT number, 'a', number FROM numbers(1000)").unwrap();
    let storage = Storage::new("t", cluster("rewrite"), "t", PATIENCE);
    let to = |new: &str, old: &str| {
        let new = format!("'{new}'");
        let first_ten = format!("v = '{old}' AND at < CAST('1970-01-01 00:00:10' AS DateTime)");
        rewrite(&[("k", "k"), ("v", &new), ("at", "at")], &first_ten)
    };
    let carry_out = |rewrite: &Rewrite| runtime().block_on(storage.rewrite(rewrite, 0)).unwrap();
    for _ in 0..3 {
        let Cost { rows_read, bytes_read, rows_written } = carry_out(&to("b", "a"));
        assert_eq!(rows_written, 10);
        assert!(rows_read >= 1000 && bytes_read >= 10_000, "{rows_read} rows, {bytes_read} bytes");
        assert_eq!(database.number("SELECT count() FROM t FINAL WHERE v = 'b'").unwrap(), 10);
        carry_out(&to("a", "b"));
        assert_eq!(database.number("SELECT count() FROM t FINAL WHERE v = 'b'").unwrap(), 0);
    }
    assert_eq!(carry_out(&to("c", "nobody")).rows_written, 0);
    let wrong = runtime().block_on(storage.rewrite(&rewrite(&[("k", "k")], "nothing = 1"), 0)).unwrap_err();
    assert_eq!((wrong.code, wrong.remedy), (Some(47), Remedy::Hold));
    assert!(
        wrong.message.starts_with("failed to carry out the rewrite of replacements/0@7 in table \"t\" at"),
        "{wrong}"
    );
}

/// Else the lost one would write old values after those of a later rewrite.
#[test]
fn a_rewrite_that_still_runs_is_cut_off_by_its_repetition() {
    let database = servers::database("repeated");
    database.run("CREATE TABLE t (k UInt64, v UInt64) ENGINE = ReplacingMergeTree ORDER BY k").unwrap();
    database.run("INSERT INTO t SELECT number, 0 FROM numbers(10)").unwrap();
    let storage = Arc::new(Storage::new("t", cluster("repeated"), "t", PATIENCE));
    let slow = rewrite(&[("k", "k"), ("v", "v + 1 + sleepEachRow(0.25)")], "v = 0");
    let runs = "SELECT count() FROM system.processes WHERE query_id LIKE 'tidegate-rewrite:%' AND query LIKE '%sleepEachRow(0.25)%'";
    let first = std::thread::spawn({
        let (storage, slow) = (storage.clone(), slow.clone());
        move || runtime().block_on(storage.rewrite(&slow, 0))
    });
    wait_until(Duration::from_secs(10), || Ok(database.number(runs)? == 1)).unwrap();
    let second = runtime().block_on(storage.rewrite(&slow, 0)).unwrap();
    assert_eq!(second.rows_written, 10);
    assert_eq!(first.join().unwrap().unwrap_err().code, Some(394));
    assert_eq!(database.run("SELECT DISTINCT v, count() FROM t GROUP BY ALL ORDER BY v").unwrap(), "0\t10\n1\t10\n");
}
