//! Items and what must come of them. They are put together field by field, not with the processor's own messages: a wrong
//! field number there must not go unseen.

#![allow(clippy::unwrap_used)]

mod fixtures;
mod wire;

use eap_items::EapItems;
use serde_json::{Value, json};
use tidegate_processor::testkit::{Kit, Seen, SeenRow};
use wire::{double, message, number};

const SPAN: u64 = 1;
const LOG: u64 = 3;
const METRIC: u64 = 8;

/// MD5 of `test/0/1`, where the test kit's message is from.
const SESSION_OF_MESSAGE: &str = "c438de9c-f1ca-6ae1-2c1d-0962e15d8367";

fn row(item: &[u8]) -> SeenRow {
    match Kit::<EapItems>::new("{}").unwrap().process(item) {
        Seen::Rows(mut rows) if rows.len() == 1 => rows.remove(0),
        other => panic!("one row expected: {other:?}"),
    }
}

fn rejection(item: &[u8]) -> String {
    match Kit::<EapItems>::new("{}").unwrap().process(item) {
        Seen::Rejected(reason) => reason,
        other => panic!("a rejection expected: {other:?}"),
    }
}

#[track_caller]
fn assert_columns(row: &SeenRow, columns: &Value) {
    for (column, value) in columns.as_object().unwrap() {
        assert_eq!(&row[column.as_str()], value, "{column}");
    }
}

/// The fields that an item must have, but for `item_type`.
fn required() -> Vec<u8> {
    [
        number(1, 3),
        number(2, 7),
        message(3, b"6fa459eaee8a3ca4894edb77e160355e"),
        message(4, &[1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        message(6, &[number(1, 1_709_209_815), number(2, 999_000_000)].concat()),
    ]
    .concat()
}

fn item(kind: u64, more: &[Vec<u8>]) -> Vec<u8> {
    [required(), number(5, kind), more.concat()].concat()
}

/// An entry of `attributes`; `value` is an `AnyValue`.
fn attribute(key: &str, value: &[u8]) -> Vec<u8> {
    message(7, &[message(1, key.as_bytes()), message(2, value)].concat())
}

fn text(value: &str) -> Vec<u8> {
    message(1, value.as_bytes())
}

fn boolean(value: bool) -> Vec<u8> {
    number(2, value.into())
}

fn int(value: i64) -> Vec<u8> {
    number(3, value as u64)
}

fn float(value: f64) -> Vec<u8> {
    double(4, value)
}

fn array(values: &[Vec<u8>]) -> Vec<u8> {
    let elements: Vec<u8> = values.iter().flat_map(|value| message(1, value)).collect();
    message(5, &elements)
}

#[test]
fn every_field_has_its_column() {
    let row = row(&item(
        LOG,
        &[
            double(8, 0.5),
            double(9, 0.25),
            message(10, b"conversation-1"),
            message(11, b"16fd27068baf433b82eb8c7fada847da"),
            number(100, 45),
            message(101, &[number(1, 1_709_209_821), number(2, 500_000_000)].concat()),
            number(102, 396),
            message(110, &[number(2, 9)].concat()),
        ],
    ));
    assert_columns(
        &row,
        &json!({
            "organization_id": 3, "project_id": 7, "item_type": 3, "timestamp": "2024-02-29 12:30:15",
            "trace_id": "6fa459ea-ee8a-3ca4-894e-db77e160355e", "session_id": "16fd2706-8baf-433b-82eb-8c7fada847da",
            "ai_conversation_id": "conversation-1", "indexed_name": "", "sampling_weight": 8, "sampling_factor": 0.125,
            "client_sample_rate": 0.5, "server_sample_rate": 0.25, "retention_days": 90,
            "downsampled_retention_days": 396, "received_at": "2024-02-29 12:30:21",
        }),
    );
    assert_eq!(row["item_id"].to_string().trim_matches('"'), "513", "little-endian");
}

#[test]
fn the_host_is_told_when_an_item_was_received() {
    let mut kit = Kit::<EapItems>::new("{}").unwrap();
    kit.process(&item(LOG, &[message(101, &[number(1, 1_709_209_821), number(2, 500_000_000)].concat())]));
    assert_eq!(kit.received_ms, 1_709_209_821_500);
    kit.process(&item(LOG, &[]));
    assert_eq!(kit.received_ms, 0);
}

#[test]
fn an_item_with_nothing_optional() {
    let row = row(&item(0, &[]));
    assert_columns(
        &row,
        &json!({
            "session_id": SESSION_OF_MESSAGE,
            "ai_conversation_id": "", "indexed_name": "", "sampling_weight": 1, "sampling_factor": 1,
            "client_sample_rate": 1, "server_sample_rate": 1, "retention_days": 90, "downsampled_retention_days": 90,
            "received_at": null, "attributes_bool": {},
            "attributes_int": {"sentry._internal.ingested_at": 1_700_000_000_000u64},
        }),
    );
}

#[test]
fn a_session_that_is_none_is_that_of_the_message() {
    for session in ["00000000000000000000000000000000", "yesterday"] {
        let row = row(&item(LOG, &[message(11, session.as_bytes())]));
        assert_eq!(row["session_id"], SESSION_OF_MESSAGE, "{session}");
    }
}

#[test]
fn attributes_go_to_the_maps_of_their_kind_and_key() {
    let row = row(&item(
        SPAN,
        &[
            attribute("sentry.op", &text("db")),
            attribute("sentry.environment", &text("beta")),
            attribute("num_of_spans", &int(-50)),
            attribute("relay_id", &float(0.5)),
            attribute("cached", &boolean(true)),
            attribute("cold", &boolean(false)),
        ],
    ));
    assert_columns(
        &row,
        &json!({
            "indexed_name": "db",
            "attributes_string_19": {"sentry.op": "db"}, "attributes_string_29": {"sentry.environment": "beta"},
            "attributes_float_31": {"num_of_spans": -50}, "attributes_float_26": {"relay_id": 0.5},
            "attributes_int": {"num_of_spans": -50, "sentry._internal.ingested_at": 1_700_000_000_000u64},
            "attributes_bool": {"cached": true, "cold": false},
        }),
    );
    let count = |kind: &str| {
        let maps = row.columns.iter().filter(|(column, _)| column.starts_with(kind));
        maps.map(|(_, map)| map.as_object().unwrap().len()).sum::<usize>()
    };
    assert_eq!((count("attributes_string_"), count("attributes_float_")), (2, 3), "each key is in one map");
}

#[test]
fn arrays_are_told_apart_by_their_elements() {
    let mixed = [text("a"), int(7), float(0.5), boolean(true), text("b"), array(&[text("inner")])];
    let row = row(&item(SPAN, &[attribute("mixed", &array(&mixed)), attribute("empty", &array(&[]))]));
    assert_columns(
        &row,
        &json!({
            "attributes_array_string": {"mixed": ["a", "b"]}, "attributes_array_int": {"mixed": [7]},
            "attributes_array_float": {"mixed": [0.5]}, "attributes_array_bool": {"mixed": [true]},
        }),
    );
}

#[test]
fn of_attributes_with_one_key_the_last_stays() {
    let entries = [attribute("sentry.op", &text("db")), attribute("sentry.op", &text("http"))];
    let row = row(&item(SPAN, &entries));
    assert_columns(&row, &json!({"indexed_name": "http", "attributes_string_19": {"sentry.op": "http"}}));
}

#[test]
fn what_cannot_be_stored_is_left_out() {
    let key_values = message(6, &message(1, &message(1, b"key")));
    let entries = [attribute("list", &key_values), attribute("bytes", &message(7, b"raw")), attribute("none", &[])];
    let plain = row(&item(LOG, &[]));
    assert_eq!(row(&item(LOG, &entries)), plain);
}

#[test]
fn the_indexed_name_depends_on_the_type() {
    let entries = [attribute("sentry.op", &text("db")), attribute("sentry.metric.name", &text("queue.length"))];
    for (kind, name) in [(SPAN, "db"), (METRIC, "queue.length"), (LOG, "")] {
        assert_eq!(row(&item(kind, &entries))["indexed_name"], name, "item type {kind}");
    }
    assert_eq!(row(&item(SPAN, &[attribute("sentry.op", &int(1))]))["indexed_name"], "", "a name is text");
}

#[test]
fn rates_that_are_none_sample_nothing_away() {
    for (client, server, factor, weight) in [
        (0.1, 0.2, 0.02, 50),
        (1.5, 0.2, 0.2, 5),
        (-0.1, f64::NAN, 1.0, 1),
        (1e-4, 1e-4, 1e-6, 1_000_000),
        (0.3, 1.0, 0.3, 3),
    ] {
        let row = row(&item(LOG, &[double(8, client), double(9, server)]));
        assert_eq!(row["sampling_factor"].as_f64(), Some(factor), "{client} · {server}");
        assert_eq!(row["sampling_weight"], weight, "{client} · {server}");
    }
}

#[test]
fn times_and_retentions_that_do_not_fit_become_the_nearest_end() {
    let late = [message(6, &number(1, 1 << 40)), number(102, 70_000)];
    let row = row(&item(LOG, &late));
    assert_columns(&row, &json!({"timestamp": "2106-02-07 06:28:15", "downsampled_retention_days": 65_535}));
}

#[test]
fn what_must_be_there_is_asked_for() {
    assert_eq!(rejection(&number(5, LOG)), "timestamp is missing");
    assert_eq!(rejection(&item(LOG, &[message(3, b"trace")])), "trace_id is not a UUID");
    assert_eq!(rejection(&item(LOG, &[message(4, &[7; 8])])), "item_id has not 16 bytes");
    assert_eq!(rejection(&item(256, &[])), "item_type is not a number from 0 to 255");
    assert_eq!(rejection(b""), "timestamp is missing");
    assert!(rejection(b"{\"trace_id\": 1}").contains("failed to decode"));
    assert!(rejection(&item(LOG, &[attribute("key", &message(1, b"\xff"))])).contains("TraceItem"), "text is UTF-8");
}

#[test]
fn no_part_of_an_item_and_no_flipped_byte_is_too_much() {
    let whole = item(SPAN, &[attribute("a", &array(&[text("b"), int(1)])), message(11, b"session"), number(100, 30)]);
    let mut kit = Kit::<EapItems>::new("{}").unwrap();
    for at in 0..whole.len() {
        kit.process(&whole[..at]);
        for bit in 0..8 {
            let mut other = whole.clone();
            other[at] ^= 1 << bit;
            kit.process(&other);
        }
    }
    let deep = (0..1000).fold(text("deep"), |inner, _| array(&[inner]));
    assert!(rejection(&item(SPAN, &[attribute("deep", &deep)])).contains("recursion"));
}
