//! Golden cases: a message, how it is given, and what must come of it. A folder of them belongs to a processor and is what
//! `tidegate test` runs; lines of them in a manifest are a module's self-test.
//!
//! A folder has a file `NAME.*` per message and a file `NAME.expected.json`:
//!
//! ```json
//! {"given": {"params": {}, "headers": {"name": "value"}, "key": "k", "now_ms": 0, "timestamp_ms": 0},
//!  "outcome": "rows", "rows": [{"output": "errors", "row": {"project_id": 1}}]}
//! ```
//! `given` may be left out, and so may each of its parts. Columns that are not named are not looked at. Other outcomes:
//! `skipped`; `rejected` with `rejection`, a part of the reason; `replacement` with `{"key", "value"}`, without `value` for
//! the message as it is; `rewrite` with `rewrites` and the rows before them. `received_ms` says when the message must have
//! been received. It is the format of the SDK's test kit.

mod compare;
mod seen;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::message::{MessageBatch, Parts};
use crate::offset::{Assignment, Partition};
use crate::processor::{InstanceConfig, Isolation, LoadError, Module};

pub use compare::Difference;
pub use seen::Seen;

/// A message and what must come of it.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    /// None: null.
    pub payload: Option<Vec<u8>>,
    pub given: Given,
    /// None: nobody said yet.
    pub expected: Option<Expected>,
}

/// How a message is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Given {
    /// The processor's settings; `{}` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The processor's clock, milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now_ms: Option<i64>,
    /// The broker's timestamp, milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp_ms: Option<i64>,
}

/// What must come of a message.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    outcome: String,
    #[serde(default)]
    rows: Vec<ExpectedRow>,
    replacement: Option<Replacement>,
    #[serde(default)]
    rewrites: Vec<Value>,
    #[serde(default)]
    rejection: String,
    received_ms: Option<i64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedRow {
    output: String,
    row: Map<String, Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Replacement {
    key: String,
    value: Option<Value>,
}

/// Why a case cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    #[error("failed to read {}: {error}", path.display())]
    Read { path: PathBuf, error: std::io::Error },
    #[error("{} is not understood: {error}", path.display())]
    Format { path: PathBuf, error: serde_json::Error },
    #[error("{} says what must come of a message that is not there: {name}.*", folder.display())]
    NoMessage { folder: PathBuf, name: String },
    #[error("{} has two messages {name}.*: give one another name", folder.display())]
    TwoMessages { folder: PathBuf, name: String },
    #[error(transparent)]
    Processor(#[from] LoadError),
    #[error("output {output:?}: {error}")]
    Row { output: String, error: tidegate_rows::RowError },
}

/// What messages are given as, unless they say something else: as in the SDK's test kit.
const NOW_MS: i64 = 1_700_000_000_000;
const OFFSET: i64 = 1;
const EXPECTED: &str = ".expected.json";

impl Case {
    /// The cases of a folder, in the order of their names. Files whose name begins with a dot are left alone.
    ///
    /// # Errors
    /// If a file cannot be read or understood, or message and expectation do not belong together.
    pub fn in_folder(folder: &Path) -> Result<Vec<Case>, CaseError> {
        let files = files(folder)?;
        let mut cases: Vec<Case> = Vec::new();
        for file in files.iter().filter(|file| !is_expected(file)) {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if cases.iter().any(|case| case.name == name) {
                return Err(CaseError::TwoMessages { folder: folder.into(), name });
            }
            let payload = Some(read(file)?);
            cases.push(Case { name, payload, given: Given::default(), expected: None });
        }
        for file in files.iter().filter(|file| is_expected(file)) {
            let name = name(file).trim_end_matches(EXPECTED).to_owned();
            let case = cases.iter_mut().find(|case| case.name == name);
            let case = case.ok_or(CaseError::NoMessage { folder: folder.into(), name })?;
            let (given, expected) = serde_json::from_slice(&read(file)?)
                .and_then(split)
                .map_err(|error| CaseError::Format { path: file.clone(), error })?;
            (case.given, case.expected) = (given, Some(expected));
        }
        Ok(cases)
    }

    /// A line of a self-test: the shape of an expectation, with `payload` beside: text, or JSON that is not a text.
    ///
    /// # Errors
    /// If it is something else.
    pub fn of_line(name: String, line: &str) -> Result<Case, serde_json::Error> {
        let mut fields: Map<String, Value> = serde_json::from_str(line)?;
        let payload = match fields.remove("payload") {
            None => return Err(serde::de::Error::missing_field("payload")),
            Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.into_bytes()),
            Some(value) => Some(value.to_string().into_bytes()),
        };
        let (given, expected) = split(fields)?;
        Ok(Case { name, payload, given, expected: Some(expected) })
    }

    /// Runs it in an instance of its own, within the limits of `config`, whose `params` do not count: what must come of a
    /// message is said for the params of the case.
    ///
    /// # Errors
    /// If the processor refuses the params, or a row cannot be printed.
    pub fn run(&self, module: &Module, config: &InstanceConfig) -> Result<Seen, CaseError> {
        let params = self.given.params.as_ref().map_or("{}".into(), Value::to_string);
        let topic = config.topics.first().map_or("test", String::as_str);
        let config = InstanceConfig { params, topics: vec![topic.to_owned()], ..config.clone() };
        let mut isolation = Isolation::new(module.clone(), config)?;
        let headers: Vec<_> =
            self.given.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let mut batch = MessageBatch::default();
        batch.begin_run(Partition::new(topic, 0), Assignment::default(), OFFSET);
        batch.push(Parts {
            offset: OFFSET,
            timestamp_ms: self.given.timestamp_ms.unwrap_or(NOW_MS),
            key: self.given.key.as_deref().map(str::as_bytes),
            payload: self.payload.as_deref(),
            headers: &headers,
        });
        let parts = isolation.process_at(&batch, self.given.now_ms.unwrap_or(NOW_MS))?;
        // One message is one part.
        let processed = parts.into_iter().next().unwrap_or_default();
        Seen::of(&processed, module).map_err(|(output, error)| CaseError::Row { output, error })
    }

    /// Where what was seen is not what must come; empty: it is. Without an expectation, everything is right.
    pub fn differences(&self, seen: &Seen) -> Vec<Difference> {
        let expected = self.expected.as_ref();
        expected.map_or(Vec::new(), |expected| compare::differences(expected, seen, self.payload.as_deref()))
    }

    /// The file that expects exactly what was seen: `NAME.expected.json` and its content.
    pub fn expecting(&self, seen: &Seen) -> (String, String) {
        let mut fields = Map::new();
        if self.given != Given::default() {
            fields.insert("given".into(), serde_json::to_value(&self.given).unwrap_or_default());
        }
        fields.extend(seen.expectation());
        (format!("{}{EXPECTED}", self.name), format!("{:#}\n", Value::Object(fields)))
    }
}

fn split(mut fields: Map<String, Value>) -> Result<(Given, Expected), serde_json::Error> {
    let given = fields.remove("given").map_or(Ok(Given::default()), serde_json::from_value)?;
    Ok((given, serde_json::from_value(Value::Object(fields))?))
}

fn is_expected(file: &Path) -> bool {
    name(file).ends_with(EXPECTED)
}

fn name(file: &Path) -> &str {
    file.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, CaseError> {
    let failed = |error| CaseError::Read { path: folder.into(), error };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() && !name(&path).starts_with('.') {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<u8>, CaseError> {
    fs::read(path).map_err(|error| CaseError::Read { path: path.into(), error })
}
