//! Runs a processor over packed batches: what the exported functions do, and what a native program does without a host.

use crate::contract;
use crate::message::Message;
use crate::outcome::{Outcome, Rejection};
use crate::row::Rows;
use crate::sql::Expression;
use crate::{Manifest, Processor, voice};

/// A configured processor.
#[derive(Debug)]
pub struct Runner<P> {
    processor: P,
    topics: Vec<String>,
    manifest: Manifest,
    /// How long the data of each output was last time: buffers are made that long at once.
    data_bytes: Vec<usize>,
}

const ROWS: u8 = 0;
const SKIPPED: u8 = 1;
const REPLACEMENT: u8 = 2;
const REWRITE: u8 = 3;
const REJECTED: u8 = 4;

impl<P: Processor> Runner<P> {
    pub fn describe() -> contract::Manifest {
        voice::report_panics();
        P::manifest().told()
    }

    /// `params` is the processor's configuration, JSON; empty text stands for `{}`.
    ///
    /// # Errors
    /// If the configuration cannot be read, or the processor refuses it.
    pub fn new(params: &str, topics: Vec<String>) -> Result<Self, String> {
        voice::report_panics();
        let params = if params.trim().is_empty() { "{}" } else { params };
        let config = serde_json::from_str(params).map_err(|error| format!("params: {error}"))?;
        let processor = P::new(config, &topics)?;
        let manifest = P::manifest();
        let data_bytes = vec![0; manifest.outputs.len()];
        Ok(Self { processor, topics, manifest, data_bytes })
    }

    /// Processes every message of the batch.
    pub fn process(&mut self, batch: &contract::Batch) -> contract::Processed {
        let mut rows = Rows::for_manifest(&self.manifest);
        for (output, bytes) in rows.outputs.iter_mut().zip(&self.data_bytes) {
            output.data.reserve(bytes + bytes / 4);
            output.ends.reserve(batch.ends.len());
            output.sources.reserve(batch.ends.len());
        }
        let mut answer = contract::Processed {
            outcomes: Vec::with_capacity(batch.ends.len()),
            rows: Vec::new(),
            replacements: None,
            rewrites: Vec::new(),
            rejections: Vec::new(),
            received: Vec::with_capacity(batch.ends.len()),
        };
        for (source, message) in Message::each(batch, &self.topics).enumerate() {
            rows.source = source as u32;
            rows.received_ms = 0;
            let outcome = self.processor.process(&message, &mut rows);
            answer.received.push(rows.received_ms);
            answer.take(source as u32, outcome, &mut rows);
        }
        for (bytes, output) in self.data_bytes.iter_mut().zip(&rows.outputs) {
            *bytes = output.data.len();
        }
        answer.rows = rows.into_told();
        answer
    }
}

impl contract::Processed {
    fn take(&mut self, source: u32, outcome: Result<Outcome, Rejection>, rows: &mut Rows) {
        if !matches!(outcome, Ok(Outcome::Rows | Outcome::Rewrite(_))) {
            rows.take_back(source);
        }
        self.outcomes.push(match outcome {
            Ok(Outcome::Rows) => ROWS,
            Ok(Outcome::Skipped) => SKIPPED,
            Ok(Outcome::Replacement { key, value }) => {
                self.replacements.get_or_insert_with(none).add(source, &key, &value);
                REPLACEMENT
            }
            Ok(Outcome::Rewrite(rewrites)) => {
                self.rewrites.extend(rewrites.into_iter().map(|rewrite| rewrite.told(source)));
                REWRITE
            }
            Err(rejection) => {
                self.rejections.push(contract::Rejection { message: source, reason: rejection.into_reason() });
                REJECTED
            }
        });
    }
}

fn none() -> contract::Replacements {
    contract::Replacements {
        keys: Vec::new(),
        key_ends: Vec::new(),
        values: Vec::new(),
        value_ends: Vec::new(),
        sources: Vec::new(),
    }
}

impl contract::Replacements {
    fn add(&mut self, source: u32, key: &[u8], value: &[u8]) {
        self.keys.extend_from_slice(key);
        self.key_ends.push(self.keys.len() as u32);
        self.values.extend_from_slice(value);
        self.value_ends.push(self.values.len() as u32);
        self.sources.push(source);
    }
}

impl crate::outcome::Rewrite {
    fn told(self, source: u32) -> contract::Rewrite {
        let column = |(column, expression): (String, Expression)| contract::ColumnExpression {
            column,
            expression: expression.to_string(),
        };
        contract::Rewrite {
            source,
            output: self.output as u32,
            columns: self.columns.into_iter().map(column).collect(),
            predicate: self.predicate.to_string(),
        }
    }
}

impl Rows {
    fn into_told(self) -> Vec<contract::Rows> {
        let outputs = self.outputs.into_iter().enumerate().filter(|(_, output)| !output.ends.is_empty());
        outputs
            .map(|(index, output)| contract::Rows {
                output: index as u32,
                data: output.data,
                row_ends: output.ends,
                sources: output.sources,
            })
            .collect()
    }
}
