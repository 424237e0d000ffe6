//! Runs a processor natively, without the host, and shows what came of each message.
//!
//! ```
//! use tidegate_processor::testkit::{Kit, Seen};
//! # use tidegate_processor::{Manifest, Message, NoConfig, Outcome, Processor, Rejection, Rows};
//! # struct Lengths;
//! # impl Processor for Lengths {
//! #     type Config = NoConfig;
//! #     fn manifest() -> Manifest { Manifest::new("lengths", "1").output("lengths", &[("bytes", "UInt64")]) }
//! #     fn new(_: NoConfig, _: &[String]) -> Result<Self, String> { Ok(Lengths) }
//! #     fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
//! #         let mut row = rows.begin(0);
//! #         row.u64(message.payload()?.len() as u64);
//! #         row.end()?;
//! #         Ok(Outcome::Rows)
//! #     }
//! # }
//! let mut kit = Kit::<Lengths>::new("{}")?;
//! let Seen::Rows(rows) = kit.process(b"hello") else { panic!("rows expected") };
//! assert_eq!(rows[0].output, "lengths");
//! assert_eq!(rows[0]["bytes"], 5);
//! # Ok::<(), String>(())
//! ```

mod fixtures;

use serde_json::{Map, Value, json};
use tidegate_rows::{Layout, json as printing, validate};

pub use fixtures::check_fixtures;

use crate::contract::{Batch, Run, Wants};
use crate::{Processor, Runner};

/// A processor under test.
#[derive(Debug)]
pub struct Kit<P> {
    runner: Runner<P>,
    wants: Wants,
    outputs: Vec<(String, Layout)>,
    /// The clock, milliseconds since 1970.
    pub now_ms: i64,
    /// When the last message was first received, as the processor says, milliseconds since 1970; 0 if it does not.
    pub received_ms: i64,
}

/// A message to a processor under test: from topic `test`, partition 0, offset 1, unless changed.
#[derive(Clone, Debug)]
pub struct Given<'a> {
    pub payload: Option<&'a [u8]>,
    pub key: Option<&'a [u8]>,
    pub headers: Vec<(String, String)>,
    pub partition: i32,
    pub offset: i64,
    /// The broker's, milliseconds since 1970.
    pub timestamp_ms: i64,
}

/// What came of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// Over all outputs.
    Rows(Vec<SeenRow>),
    Skipped,
    Replacement {
        key: Vec<u8>,
        value: Vec<u8>,
    },
    Rewrites {
        /// `{"output", "columns": [{"column", "expression"}], "predicate"}` each.
        rewrites: Vec<Value>,
        /// Written before them.
        rows: Vec<SeenRow>,
    },
    Rejected(String),
}

/// A row as ClickHouse's JSONEachRow prints it; index it by column.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenRow {
    pub output: String,
    pub columns: Map<String, Value>,
}

impl std::ops::Index<&str> for SeenRow {
    type Output = Value;

    fn index(&self, column: &str) -> &Value {
        &self.columns[column]
    }
}

impl Default for Given<'_> {
    fn default() -> Self {
        Self { payload: None, key: None, headers: Vec::new(), partition: 0, offset: 1, timestamp_ms: 1_700_000_000_000 }
    }
}

impl<P: Processor> Kit<P> {
    /// # Errors
    /// If the processor refuses `params` (JSON), or declares a type that cannot be read.
    pub fn new(params: &str) -> Result<Self, String> {
        let manifest = P::manifest();
        let output = |(name, columns)| Layout::parse(columns).map(|layout| (name, layout));
        let outputs: Result<_, _> = manifest.outputs.into_iter().map(output).collect();
        let outputs = outputs.map_err(|error| error.to_string())?;
        let runner = Runner::new(params, vec!["test".into()])?;
        Ok(Self { runner, wants: manifest.wants, outputs, now_ms: 1_700_000_000_000, received_ms: 0 })
    }

    /// Processes one message.
    ///
    /// # Panics
    /// If the processor wrote bytes that are not a row of its declared columns: a host would reject them.
    pub fn process(&mut self, payload: &[u8]) -> Seen {
        self.process_given(&Given { payload: Some(payload), ..Given::default() })
    }

    /// Processes one message; what the manifest does not want is not handed over.
    ///
    /// # Panics
    /// As [`Kit::process`].
    pub fn process_given(&mut self, given: &Given<'_>) -> Seen {
        let answer = self.runner.process(&self.batch(given));
        self.received_ms = answer.received[0];
        match answer.outcomes[0] {
            1 => Seen::Skipped,
            2 => {
                let replacements = answer.replacements.unwrap_or_else(|| panic!("a replacement was promised"));
                Seen::Replacement { key: replacements.keys, value: replacements.values }
            }
            3 => Seen::Rewrites {
                rewrites: answer.rewrites.iter().map(|rewrite| self.rewrite(rewrite)).collect(),
                rows: self.all_rows(&answer),
            },
            4 => Seen::Rejected(answer.rejections[0].reason.clone()),
            _ => Seen::Rows(self.all_rows(&answer)),
        }
    }

    fn batch(&self, given: &Given<'_>) -> Batch {
        let payload = given.payload.unwrap_or_default();
        let mut batch = Batch {
            payloads: payload.to_vec(),
            ends: vec![payload.len() as u32],
            runs: vec![Run { topic: 0, partition: given.partition, count: 1 }],
            nulls: vec![u8::from(given.payload.is_none()) | u8::from(given.key.is_none()) << 1],
            ..Batch::empty(self.now_ms)
        };
        if self.wants.contains(Wants::OFFSETS) {
            batch.offsets.push(given.offset);
        }
        if self.wants.contains(Wants::TIMESTAMPS) {
            batch.timestamps.push(given.timestamp_ms);
        }
        if self.wants.contains(Wants::KEYS) {
            batch.keys.extend_from_slice(given.key.unwrap_or_default());
            batch.key_ends.push(batch.keys.len() as u32);
        }
        if self.wants.contains(Wants::HEADERS) {
            for part in given.headers.iter().flat_map(|(name, value)| [name, value]) {
                batch.header_data.extend_from_slice(part.as_bytes());
                batch.header_ends.push(batch.header_data.len() as u32);
            }
            batch.header_counts.push(given.headers.len() as u32);
        }
        batch
    }

    fn all_rows(&self, answer: &crate::contract::Processed) -> Vec<SeenRow> {
        answer.rows.iter().flat_map(|rows| self.rows(rows)).collect()
    }

    fn rows(&self, rows: &crate::contract::Rows) -> Vec<SeenRow> {
        let (output, layout) = &self.outputs[rows.output as usize];
        let starts = std::iter::once(0).chain(rows.row_ends.iter().copied());
        let row = |(start, end): (u32, &u32)| {
            let row = &rows.data[start as usize..*end as usize];
            let printed = validate(layout, row).and_then(|()| printing::row(layout, row));
            let columns = printed.unwrap_or_else(|error| panic!("not a row of {output:?}: {error}"));
            SeenRow { output: output.clone(), columns }
        };
        starts.zip(&rows.row_ends).map(row).collect()
    }

    fn rewrite(&self, rewrite: &crate::contract::Rewrite) -> Value {
        let column = |column: &crate::contract::ColumnExpression| json!({ "column": column.column, "expression": column.expression });
        let columns: Vec<_> = rewrite.columns.iter().map(column).collect();
        let (output, _) = &self.outputs[rewrite.output as usize];
        json!({ "output": output, "columns": columns, "predicate": rewrite.predicate })
    }
}
