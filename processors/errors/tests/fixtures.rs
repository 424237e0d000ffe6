//! Messages and what must come of them: `fixtures/NAME.json` and `fixtures/NAME.expected.json`.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use errors::Errors;
use serde_json::Value;
use tidegate_processor::testkit::{Kit, Seen};

fn check(name: &str, seen: &Seen, expected: &Value, message: &[u8]) {
    match (expected["outcome"].as_str().unwrap(), seen) {
        ("rows", Seen::Rows(rows)) => {
            let wanted = expected["rows"].as_array().unwrap();
            assert_eq!(rows.len(), wanted.len(), "{name}: number of rows");
            for (row, wanted) in rows.iter().zip(wanted) {
                for (column, value) in wanted.as_object().unwrap() {
                    assert_eq!(row.get(column), Some(value), "{name}: column {column}");
                }
            }
        }
        ("replacement", Seen::Replacement { key, value }) => {
            assert_eq!(key, expected["key"].as_str().unwrap().as_bytes(), "{name}: key");
            assert_eq!(value, message, "{name}: the value is the message as it is");
        }
        ("rejected", Seen::Rejected(reason)) => {
            let wanted = expected["reason"].as_str().unwrap();
            assert!(reason.contains(wanted), "{name}: {reason:?} does not say {wanted:?}");
        }
        (wanted, seen) => panic!("{name}: {wanted} expected, {seen:?} seen"),
    }
}

#[test]
fn every_fixture_comes_out_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(name) = name.strip_suffix(".expected.json") else { continue };
        let expected: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let message = fs::read(folder.join(format!("{name}.json"))).unwrap();
        let seen = Kit::<Errors>::new("{}").unwrap().process(&message);
        check(name, &seen, &expected, &message);
        count += 1;
    }
    assert!(count >= 10, "only {count} fixtures were found");
}

#[test]
fn projects_of_the_blacklist_store_no_stacks() {
    let message = include_bytes!("../fixtures/exceptions.json");
    let mut kit = Kit::<Errors>::new("{\"project_stacktrace_blacklist\": [7]}").unwrap();
    let Seen::Rows(rows) = kit.process(message) else { panic!("rows expected") };
    assert_eq!(rows[0]["exception_stacks.type"], Value::Array(vec![]));
    assert_eq!(rows[0]["exception_frames.function"], Value::Array(vec![]));
    assert!(Kit::<Errors>::new("{\"project_stacktrace_blocklist\": []}").is_err(), "unknown parameters are refused");
}

#[test]
fn a_time_that_cannot_be_read_is_the_clock_of_the_batch() {
    let text = include_str!("../fixtures/minimal.json").replace("2024-02-29T12:30:15.250000Z", "yesterday");
    let mut kit = Kit::<Errors>::new("{}").unwrap();
    kit.now_ms = 1_677_512_412_223;
    let Seen::Rows(rows) = kit.process(text.as_bytes()) else { panic!("rows expected") };
    assert_eq!(rows[0]["timestamp"], "2023-02-27 15:40:12");
}
