//! Messages and what must come of them: `fixtures/NAME.json` and `fixtures/NAME.expected.json`.

#![allow(clippy::unwrap_used)]

use errors::Errors;
use serde_json::Value;
use tidegate_processor::testkit::{Kit, Seen, check_fixtures};

#[test]
fn every_fixture_comes_out_as_expected() {
    check_fixtures::<Errors>(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures").as_ref(), 12);
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
