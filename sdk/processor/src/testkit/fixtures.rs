//! Messages and what must come of them, as files beside a processor.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Given, Kit, Seen, SeenRow};
use crate::Processor;

/// What must come of a message, in the shape that `tidegate process` prints, and how the message is given.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    #[serde(default)]
    given: Circumstances,
    outcome: String,
    #[serde(default)]
    rows: Vec<ExpectedRow>,
    #[serde(default)]
    replacement: Option<Replacement>,
    #[serde(default)]
    rewrites: Vec<Value>,
    /// A part of the reason.
    #[serde(default)]
    rejection: String,
    #[serde(default)]
    received_ms: Option<i64>,
}

/// Columns that are given must be equal, others are not looked at.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedRow {
    output: String,
    row: BTreeMap<String, Value>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Replacement {
    key: String,
    /// None: the message as it is.
    value: Option<Value>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Circumstances {
    params: Option<Value>,
    headers: BTreeMap<String, String>,
    key: Option<String>,
    now_ms: Option<i64>,
    timestamp_ms: Option<i64>,
}

/// Runs every fixture of a folder: `NAME.expected.json` says what must come of the message `NAME.*`.
///
/// ```json
/// {"given": {"params": {}, "headers": {"name": "value"}, "key": "k", "now_ms": 0, "timestamp_ms": 0},
///  "outcome": "rows", "rows": [{"output": "errors", "row": {"project_id": 1}}]}
/// ```
/// `given` may be left out, and so may each of its parts; `received_ms` beside `outcome` says when the message must have
/// been received. The other outcomes: `skipped`; `rejected` with `rejection`, a part of the reason; `replacement` with
/// `{"key", "value"}`; `rewrite` with `rewrites` and the rows before them.
///
/// # Panics
/// With all differences; if the folder has fewer fixtures than `at_least`; if a file cannot be read.
pub fn check_fixtures<P: Processor>(folder: &Path, at_least: usize) {
    let mut wrong = Vec::new();
    let mut count = 0;
    for path in files(folder) {
        let Some(name) = name(&path).strip_suffix(".expected.json") else { continue };
        let message = files(folder).into_iter().find(|other| other != &path && stem(other) == name);
        let message = message.unwrap_or_else(|| panic!("no message {name}.* in {}", folder.display()));
        let expected = serde_json::from_slice(&read(&path)).unwrap_or_else(|error| panic!("{name}: {error}"));
        wrong.extend(check::<P>(&expected, &read(&message)).into_iter().map(|text| format!("{name}: {text}")));
        count += 1;
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(count >= at_least, "{count} fixtures in {} instead of {at_least} or more", folder.display());
}

fn check<P: Processor>(expected: &Expected, message: &[u8]) -> Vec<String> {
    let given = &expected.given;
    let params = given.params.as_ref().map_or("{}".into(), Value::to_string);
    let mut kit = Kit::<P>::new(&params).unwrap_or_else(|error| panic!("params {params}: {error}"));
    kit.now_ms = given.now_ms.unwrap_or(kit.now_ms);
    let usual = Given::default();
    let seen = kit.process_given(&Given {
        payload: Some(message),
        key: given.key.as_deref().map(str::as_bytes),
        headers: given.headers.clone().into_iter().collect(),
        timestamp_ms: given.timestamp_ms.unwrap_or(usual.timestamp_ms),
        ..usual
    });
    let mut wrong = differences(expected, &seen, message);
    if let Some(wanted) = expected.received_ms.filter(|wanted| *wanted != kit.received_ms) {
        wrong.push(format!("received at {} instead of {wanted}", kit.received_ms));
    }
    wrong
}

fn differences(expected: &Expected, seen: &Seen, message: &[u8]) -> Vec<String> {
    match (expected.outcome.as_str(), seen) {
        ("rows", Seen::Rows(rows)) => rows_of(rows, &expected.rows),
        ("skipped", Seen::Skipped) => Vec::new(),
        ("rejected", Seen::Rejected(reason)) if reason.contains(&expected.rejection) => Vec::new(),
        ("rewrite", Seen::Rewrites { rewrites, rows }) if *rewrites == expected.rewrites => {
            rows_of(rows, &expected.rows)
        }
        ("replacement", Seen::Replacement { key, value }) => {
            let Some(wanted) = &expected.replacement else { return vec!["\"replacement\" is missing".into()] };
            let same = match &wanted.value {
                None => value == message,
                Some(wanted) => serde_json::from_slice::<Value>(value).is_ok_and(|value| value == *wanted),
            };
            let same = same && key == wanted.key.as_bytes();
            if same { Vec::new() } else { vec![format!("{}", seen.clone().shown())] }
        }
        (wanted, seen) => vec![format!("{wanted} {} expected, seen: {}", expected.rejection, seen.clone().shown())],
    }
}

fn rows_of(rows: &[SeenRow], wanted: &[ExpectedRow]) -> Vec<String> {
    if rows.len() != wanted.len() {
        return vec![format!("{} rows instead of {}: {rows:?}", rows.len(), wanted.len())];
    }
    let pairs = rows.iter().zip(wanted).enumerate();
    pairs.flat_map(|(at, (row, wanted))| row_of(at, row, wanted)).collect()
}

fn row_of(at: usize, row: &SeenRow, wanted: &ExpectedRow) -> Vec<String> {
    let mut wrong = Vec::new();
    if row.output != wanted.output {
        wrong.push(format!("row {at}: output {:?} instead of {:?}", row.output, wanted.output));
    }
    for (column, value) in &wanted.row {
        match row.columns.get(column) {
            Some(have) if have == value => {}
            Some(have) => wrong.push(format!("row {at}: {column}: {have} instead of {value}")),
            None => wrong.push(format!("row {at}: no column {column}")),
        }
    }
    wrong
}

impl Seen {
    fn shown(self) -> String {
        match self {
            Seen::Replacement { key, value } => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                format!("replacement {:?}: {}", text(&key), text(&value))
            }
            Seen::Rewrites { rewrites, rows } => format!("rewrites {}, rows {rows:?}", Value::Array(rewrites)),
            other => format!("{other:?}"),
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|name| name.to_str()).unwrap_or_default()
}
