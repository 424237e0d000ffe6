//! Messages and what must come of them: `fixtures/NAME.json` and `fixtures/NAME.expected.json`.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use tidegate_processor::Runner;
use tidegate_processor::contract::{Batch, Run};
use tidegate_processor::testkit::{Kit, Seen, check_fixtures};
use transactions::Transactions;

const DAY_MS: i64 = 86_400_000;
/// When the transaction of `minimal.json` finished.
const FINISH_MS: i64 = 1_709_209_815_250;

fn minimal() -> Value {
    serde_json::from_str(include_str!("../fixtures/minimal.json")).unwrap()
}

fn process(params: &str, now_ms: i64, message: &Value) -> Seen {
    let mut kit = Kit::<Transactions>::new(params).unwrap();
    kit.now_ms = now_ms;
    kit.process(message.to_string().as_bytes())
}

fn row(message: &Value) -> serde_json::Map<String, Value> {
    let Seen::Rows(mut rows) = process("{}", FINISH_MS, message) else { panic!("rows expected") };
    rows.remove(0).columns
}

#[test]
fn every_fixture_comes_out_as_expected() {
    check_fixtures::<Transactions>(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures").as_ref(), 8);
}

#[test]
fn a_transaction_is_skipped_once_its_retention_is_over() {
    let message = minimal();
    let skipped_at = |params, now_ms| process(params, now_ms, &message) == Seen::Skipped;
    assert!(!skipped_at("{}", FINISH_MS + 90 * DAY_MS));
    assert!(skipped_at("{}", FINISH_MS + 90 * DAY_MS + 1));
    assert!(!skipped_at("{\"discard_old_events\": false}", FINISH_MS + 900 * DAY_MS));
    let mut short = message.clone();
    short[2]["retention_days"] = json!(7);
    assert_eq!(process("{}", FINISH_MS + 8 * DAY_MS, &short), Seen::Skipped);
    assert_ne!(process("{\"enforce_retention\": true}", FINISH_MS + 8 * DAY_MS, &short), Seen::Skipped);
}

#[test]
fn what_is_no_transaction_is_skipped() {
    let mut not_ours = vec![json!(null), json!("insert"), json!({}), json!([]), json!([2]), json!([2, "insert"])];
    let changes = [
        ("/0", json!(3)),
        ("/0", json!("2")),
        ("/1", json!("end_merge")),
        ("/2", json!(7)),
        ("/2/data", json!([])),
        ("/2/data/type", json!("error")),
        ("/2/data/type", json!(null)),
        ("/2/data/contexts", json!("text")),
        ("/2/data/contexts/trace", json!({})),
        ("/2/data/contexts/trace", json!(null)),
    ];
    for (at, value) in changes {
        let mut message = minimal();
        *message.pointer_mut(at).unwrap() = value;
        not_ours.push(message);
    }
    for message in not_ours {
        assert_eq!(process("{}", FINISH_MS, &message), Seen::Skipped, "{message}");
    }
}

#[test]
fn what_is_required_is_missed() {
    for at in ["project_id", "event_id", "data/timestamp", "data/start_timestamp", "data/contexts/trace/span_id"] {
        let mut message = minimal();
        *message.pointer_mut(&format!("/2/{at}")).unwrap() = json!({});
        let Seen::Rejected(reason) = process("{}", FINISH_MS, &message) else { panic!("{at}: a rejection expected") };
        assert!(reason.contains(&at.replace('/', ".")), "{at}: {reason}");
    }
}

#[test]
fn a_time_out_of_range_is_the_clock_of_the_batch() {
    let mut message = minimal();
    message[2]["data"]["start_timestamp"] = json!(-1.5);
    message[2]["data"]["timestamp"] = json!(1e12);
    let row = row(&message);
    for time in ["start", "finish"] {
        assert_eq!(row[&format!("{time}_ts")], "2024-02-29 12:30:15");
        assert_eq!(row[&format!("{time}_ms")], 250);
    }
    assert_eq!(row["duration"], 0);
}

#[test]
fn statuses_have_the_codes_of_opentelemetry() {
    let codes = [
        ("ok", 0),
        ("cancelled", 1),
        ("unknown", 2),
        ("invalid_argument", 3),
        ("deadline_exceeded", 4),
        ("not_found", 5),
        ("already_exists", 6),
        ("permission_denied", 7),
        ("resource_exhausted", 8),
        ("failed_precondition", 9),
        ("aborted", 10),
        ("out_of_range", 11),
        ("unimplemented", 12),
        ("internal_error", 13),
        ("unavailable", 14),
        ("data_loss", 15),
        ("unauthenticated", 16),
        ("unknown_error", 13),
        ("OK", 2),
    ];
    for (name, code) in codes {
        let mut message = minimal();
        message[2]["data"]["contexts"]["trace"]["status"] = json!(name);
        assert_eq!(row(&message)["transaction_status"], code, "{name}");
    }
}

#[test]
fn a_transaction_stores_2000_spans_and_10_groups() {
    let span = |at: u64| json!({"op": "db", "hash": format!("{at:x}"), "exclusive_time": 1});
    let mut message = minimal();
    message[2]["data"]["contexts"]["trace"]["op"] = json!("http");
    message[2]["data"]["contexts"]["trace"]["hash"] = json!("ff");
    message[2]["data"]["contexts"]["trace"]["exclusive_time"] = json!(0.5);
    message[2]["data"]["spans"] = (0..2100).map(span).collect();
    message[2]["group_ids"] = (0..12).collect();
    let row = row(&message);
    let groups = row["spans.group"].as_array().unwrap();
    assert_eq!((groups.len(), &groups[1998], &groups[1999]), (2000, &json!(1998), &json!(255)));
    assert_eq!(row["group_ids"], json!([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
}

#[test]
fn contexts_of_the_skip_list_are_not_stored_but_read() {
    let mut message = minimal();
    message[2]["data"]["contexts"]["device"] = json!({"arch": "arm64"});
    message[2]["data"]["user"] = json!({"geo": {"city": "Wien"}});
    let params = "{\"transact_skip_context_store\": {\"7\": [\"trace\", \"geo\"]}}";
    let Seen::Rows(rows) = process(params, FINISH_MS, &message) else { panic!("rows expected") };
    assert_eq!(rows[0]["contexts.key"], json!(["device.arch"]));
    assert_eq!(rows[0]["span_id"], 255);
    message[2]["project_id"] = json!(8);
    let Seen::Rows(rows) = process(params, FINISH_MS, &message) else { panic!("rows expected") };
    assert_eq!(rows[0]["contexts.key"], json!(["trace.op", "device.arch", "geo.city"]));
}

#[test]
fn unknown_parameters_are_refused() {
    assert!(Kit::<Transactions>::new("{\"discard_old\": false}").err().unwrap().contains("discard_old"));
}

#[test]
fn the_second_of_receipt_is_told_to_the_host() {
    let received = |value: Value| {
        let mut message = minimal();
        message[2]["data"]["received"] = value;
        let payloads = message.to_string().into_bytes();
        let mut batch = empty_batch();
        batch.ends = vec![payloads.len() as u32];
        batch.payloads = payloads;
        let mut runner = Runner::<Transactions>::new("{}", vec!["transactions".into()]).unwrap();
        runner.process(&batch).received
    };
    assert_eq!(received(json!(1709209815.75)), [1_709_209_815_000]);
    assert_eq!(received(json!(1709209815)), [1_709_209_815_000]);
    for nonsense in [json!(null), json!("1709209815"), json!(-1.0), json!(4294967296_u64)] {
        assert_eq!(received(nonsense.clone()), [0], "{nonsense}");
    }
}

fn empty_batch() -> Batch {
    Batch { runs: vec![Run { topic: 0, partition: 0, count: 1 }], offsets: vec![1], ..Batch::empty(FINISH_MS) }
}
