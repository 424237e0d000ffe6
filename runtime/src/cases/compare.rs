//! What must come of a message against what came, place by place.

use std::fmt;

use serde_json::Value;

use super::seen::{SeenRow, json_or_text};
use super::{Expected, ExpectedRow, Seen};

/// A place where something else came.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// `outcome`, `rejection`, `rows`, `row 1 of errors: project_id`, …
    pub place: String,
    pub expected: Value,
    /// None: there is no such thing.
    pub seen: Option<Value>,
}

pub(super) fn differences(expected: &Expected, seen: &Seen, payload: Option<&[u8]>) -> Vec<Difference> {
    let mut found = Vec::new();
    if expected.outcome != seen.outcome {
        found.push(Difference::new("outcome", expected.outcome.as_str(), seen.outcome));
        if let Some(text) = &seen.rejection {
            found.push(Difference::new("rejection", expected.rejection.as_str(), text.as_str()));
        }
        return found;
    }
    match expected.outcome.as_str() {
        "rejected" => {
            let text = seen.rejection.as_deref().unwrap_or_default();
            if !text.contains(&expected.rejection) {
                found.push(Difference::new("rejection", expected.rejection.as_str(), text));
            }
        }
        "replacement" => found.extend(of_replacement(expected, seen, payload)),
        _ => found.extend(of_rows(&expected.rows, &seen.rows)),
    }
    if expected.rewrites != seen.rewrites {
        found.push(Difference::new("rewrites", expected.rewrites.clone(), seen.rewrites.clone()));
    }
    if let Some(wanted) = expected.received_ms.filter(|wanted| *wanted != seen.received_ms) {
        found.push(Difference::new("received_ms", wanted, seen.received_ms));
    }
    found
}

fn of_replacement(expected: &Expected, seen: &Seen, payload: Option<&[u8]>) -> Vec<Difference> {
    let Some((key, value)) = &seen.replacement else { return Vec::new() };
    let Some(wanted) = &expected.replacement else {
        return vec![Difference::new("replacement", Value::Null, json_or_text(value))];
    };
    let mut found = Vec::new();
    if *key != wanted.key {
        found.push(Difference::new("replacement: key", wanted.key.as_str(), key.as_str()));
    }
    let value_expected = match &wanted.value {
        Some(value) => value.clone(),
        None if payload == Some(value) => json_or_text(value),
        None => json_or_text(payload.unwrap_or_default()),
    };
    if value_expected != json_or_text(value) {
        found.push(Difference::new("replacement: value", value_expected, json_or_text(value)));
    }
    found
}

fn of_rows(expected: &[ExpectedRow], seen: &[SeenRow]) -> Vec<Difference> {
    let mut found = Vec::new();
    if expected.len() != seen.len() {
        found.push(Difference::new("rows", expected.len(), seen.len()));
    }
    for (at, (wanted, row)) in expected.iter().zip(seen).enumerate() {
        let number = at + 1;
        if wanted.output != row.output {
            let place = format!("row {number}: output");
            found.push(Difference::new(&place, wanted.output.as_str(), row.output.as_str()));
            continue;
        }
        for (column, value) in &wanted.row {
            let have = row.row.get(column);
            if have != Some(value) {
                let place = format!("row {number} of {}: {column}", row.output);
                found.push(Difference { place, expected: value.clone(), seen: have.cloned() });
            }
        }
    }
    found
}

impl Difference {
    fn new(place: &str, expected: impl Into<Value>, seen: impl Into<Value>) -> Self {
        Self { place: place.to_owned(), expected: expected.into(), seen: Some(seen.into()) }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, expected, seen } = self;
        match seen {
            Some(seen) => write!(f, "{place}: {seen} instead of {expected}"),
            None => write!(f, "{place}: nothing of that name instead of {expected}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(rows: Value) -> Seen {
        let row = |row: &Value| SeenRow { output: "events".into(), row: row.as_object().unwrap().clone() };
        let rows = rows.as_array().unwrap().iter().map(row).collect();
        Seen { outcome: "rows", rows, replacement: None, rewrites: Vec::new(), rejection: None, received_ms: 0 }
    }

    fn told(expected: Value, seen: &Seen) -> Vec<String> {
        let expected: Expected = serde_json::from_value(expected).unwrap();
        differences(&expected, seen, Some(b"{}")).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_difference_has_its_place() {
        let two = seen(json!([{ "id": 1, "note": "a" }, { "id": 2, "note": null }]));
        let row = |row: Value| json!({ "output": "events", "row": row });
        let same = json!({ "outcome": "rows", "rows": [row(json!({ "id": 1 })), row(json!({ "note": null }))] });
        assert!(told(same, &two).is_empty());
        let other =
            json!({ "outcome": "rows", "rows": [row(json!({ "id": 7, "nota": 1, "note": "b" }))], "received_ms": 5 });
        let differences = [
            "rows: 2 instead of 1",
            "row 1 of events: id: 1 instead of 7",
            "row 1 of events: nota: nothing of that name instead of 1",
            "row 1 of events: note: \"a\" instead of \"b\"",
            "received_ms: 0 instead of 5",
        ];
        assert_eq!(told(other, &two), differences);
        let skipped = ["outcome: \"rows\" instead of \"skipped\""];
        assert_eq!(told(json!({ "outcome": "skipped" }), &two), skipped);
    }

    #[test]
    fn a_part_of_a_reason_is_enough_and_a_message_may_be_its_replacement() {
        let rejected = Seen { outcome: "rejected", rejection: Some("missing field `id`".into()), ..seen(json!([])) };
        assert!(told(json!({ "outcome": "rejected", "rejection": "field `id`" }), &rejected).is_empty());
        let other = told(json!({ "outcome": "rejected", "rejection": "field `at`" }), &rejected);
        assert_eq!(other, ["rejection: \"missing field `id`\" instead of \"field `at`\""]);
        let told_why = told(json!({ "outcome": "rows" }), &rejected);
        assert_eq!(told_why[1], "rejection: \"missing field `id`\" instead of \"\"");
        let replacement = Some(("k".to_owned(), b"{}".to_vec()));
        let replaced = Seen { outcome: "replacement", replacement, ..seen(json!([])) };
        assert!(told(json!({ "outcome": "replacement", "replacement": { "key": "k" } }), &replaced).is_empty());
        let other = json!({ "outcome": "replacement", "replacement": { "key": "l", "value": [] } });
        let differences = ["replacement: key: \"k\" instead of \"l\"", "replacement: value: {} instead of []"];
        assert_eq!(told(other, &replaced), differences);
    }
}
