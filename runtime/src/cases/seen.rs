//! What came of a message, as JSON.

use serde_json::{Map, Value, json};
use tidegate_rows::{RowError, json as row_json};

use crate::offset::Counts;
use crate::outcome::{Processed, Reason, Rewrite};
use crate::processor::Module;

/// What came of one message.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub(super) outcome: &'static str,
    pub(super) rows: Vec<SeenRow>,
    pub(super) replacement: Option<(String, Vec<u8>)>,
    pub(super) rewrites: Vec<Value>,
    pub(super) rejection: Option<String>,
    /// 0: the processor did not say.
    pub(super) received_ms: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct SeenRow {
    pub(super) output: String,
    /// As ClickHouse's JSONEachRow prints it.
    pub(super) row: Map<String, Value>,
}

impl Seen {
    /// # Errors
    /// An output and what of its rows is not a row.
    pub fn of(processed: &Processed, module: &Module) -> Result<Self, (String, RowError)> {
        let received_ms = processed.progress.iter().find_map(|(_, covered)| covered.received_ms.first().copied());
        let mut seen = Self {
            outcome: "rows",
            rows: rows(processed, module)?,
            replacement: None,
            rewrites: processed.rewrites.iter().map(|told| rewrite(told, module)).collect(),
            rejection: None,
            received_ms: received_ms.unwrap_or(0),
        };
        if let Some(letter) = processed.dead_letters.first() {
            let rejection = &letter.rejection;
            let text = match rejection.reason {
                Reason::Invalid => rejection.detail.clone(),
                _ => rejection.to_string(),
            };
            (seen.outcome, seen.rejection) = ("rejected", Some(text));
        } else if let Some(replacement) = processed.replacements.first() {
            let key = String::from_utf8_lossy(&replacement.key).into_owned();
            (seen.outcome, seen.replacement) = ("replacement", Some((key, replacement.value.clone())));
        } else {
            seen.outcome = match processed.progress.counts() {
                Counts { skipped: 1, .. } => "skipped",
                Counts { rewrites: 1, .. } => "rewrite",
                _ => "rows",
            };
        }
        Ok(seen)
    }

    pub fn outcome(&self) -> &'static str {
        self.outcome
    }

    /// Why it was rejected.
    pub fn rejection(&self) -> Option<&str> {
        self.rejection.as_deref()
    }

    /// As `tidegate process` prints it: `rows` are there, if empty, with every outcome that may have some.
    pub fn json(&self) -> Map<String, Value> {
        let mut line = Map::new();
        line.insert("outcome".into(), self.outcome.into());
        if let Some(text) = &self.rejection {
            line.insert("rejection".into(), text.as_str().into());
        } else if let Some((key, value)) = &self.replacement {
            line.insert("replacement".into(), json!({ "key": key, "value": json_or_text(value) }));
        } else {
            line.insert("rows".into(), self.rows.iter().map(SeenRow::json).collect());
        }
        if self.outcome == "rewrite" {
            line.insert("rewrites".into(), self.rewrites.clone().into());
        }
        line
    }

    /// As the file of a case says it.
    pub(super) fn expectation(&self) -> Map<String, Value> {
        let mut line = self.json();
        line.retain(|name, value| name != "rows" || value.as_array().is_some_and(|rows| !rows.is_empty()));
        if self.received_ms != 0 {
            line.insert("received_ms".into(), self.received_ms.into());
        }
        line
    }
}

impl SeenRow {
    fn json(&self) -> Value {
        json!({ "output": self.output, "row": self.row })
    }
}

/// Values of replacements are JSON, or text.
pub(super) fn json_or_text(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into())
}

fn rewrite(rewrite: &Rewrite, module: &Module) -> Value {
    let column = |(column, expression): &(String, String)| json!({ "column": column, "expression": expression });
    let columns: Vec<_> = rewrite.columns.iter().map(column).collect();
    let output = &module.manifest().outputs[rewrite.output].name;
    json!({ "output": output, "columns": columns, "predicate": rewrite.predicate })
}

fn rows(processed: &Processed, module: &Module) -> Result<Vec<SeenRow>, (String, RowError)> {
    let mut seen = Vec::new();
    for rows in &processed.rows {
        let output = &module.manifest().outputs[rows.output].name;
        let starts = std::iter::once(0).chain(rows.ends.iter().copied());
        for (start, end) in starts.zip(&rows.ends) {
            let bytes = &rows.data[start as usize..*end as usize];
            let row = row_json::row(&module.layouts()[rows.output], bytes).map_err(|error| (output.clone(), error))?;
            seen.push(SeenRow { output: output.clone(), row });
        }
    }
    Ok(seen)
}
