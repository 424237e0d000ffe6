//! Messages and what must come of them: `fixtures/NAME.json` and `fixtures/NAME.expected.json`.

#![allow(clippy::unwrap_used)]

use generic_metrics::GenericMetrics;
use tidegate_processor::Runner;
use tidegate_processor::testkit::{Given, Kit, Seen, check_fixtures};

#[test]
fn every_fixture_comes_out_as_expected() {
    check_fixtures::<GenericMetrics>(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures").as_ref(), 39);
}

#[test]
fn outputs_keep_their_order() {
    let outputs = Runner::<GenericMetrics>::describe().outputs.into_iter().map(|output| output.name);
    assert_eq!(outputs.collect::<Vec<_>>(), ["counters", "sets", "distributions", "gauges"]);
}

#[test]
fn a_null_payload_is_skipped_by_its_header_and_rejected_without() {
    let mut kit = Kit::<GenericMetrics>::new("{}").unwrap();
    let mut given = Given { headers: vec![("metric_type".into(), "x".into())], ..Given::default() };
    assert_eq!(kit.process_given(&given), Seen::Skipped);
    given.headers.clear();
    assert_eq!(kit.process_given(&given), Seen::Rejected("the payload is null".into()));
}

#[test]
fn unknown_parameters_are_refused() {
    assert!(Kit::<GenericMetrics>::new("{\"use_case_kill_switch\": []}").is_err());
}
