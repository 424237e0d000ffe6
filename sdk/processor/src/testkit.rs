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
//! assert_eq!(rows[0]["bytes"], 5);
//! # Ok::<(), String>(())
//! ```

use serde_json::{Map, Value};
use tidegate_rows::{Layout, json, validate};

use crate::contract::{Batch, Run};
use crate::{Processor, Runner};

/// A processor under test. Messages come from topic `test`, partition 0, offset 1.
#[derive(Debug)]
pub struct Kit<P> {
    runner: Runner<P>,
    layouts: Vec<Layout>,
    /// The clock, milliseconds since 1970.
    pub now_ms: i64,
    /// The broker's timestamp of the messages, milliseconds since 1970.
    pub timestamp_ms: i64,
}

/// What came of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// Over all outputs, as ClickHouse's JSONEachRow prints them.
    Rows(Vec<Map<String, Value>>),
    Skipped,
    Replacement {
        key: Vec<u8>,
        value: Vec<u8>,
    },
    Rejected(String),
}

impl<P: Processor> Kit<P> {
    /// # Errors
    /// If the processor refuses `params` (JSON), or declares a type that cannot be read.
    pub fn new(params: &str) -> Result<Self, String> {
        let manifest = P::manifest();
        let layouts = manifest.outputs.iter().map(|(_, columns)| Layout::parse(columns.clone()));
        let layouts = layouts.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        let runner = Runner::new(params, vec!["test".into()])?;
        Ok(Self { runner, layouts, now_ms: 1_700_000_000_000, timestamp_ms: 1_700_000_000_000 })
    }

    /// Processes one message.
    ///
    /// # Panics
    /// If the processor wrote bytes that are not a row of its declared columns: a host would reject them.
    pub fn process(&mut self, payload: &[u8]) -> Seen {
        let batch = Batch {
            payloads: payload.to_vec(),
            ends: vec![payload.len() as u32],
            runs: vec![Run { topic: 0, partition: 0, count: 1 }],
            nulls: Vec::new(),
            now: self.now_ms,
            offsets: vec![1],
            timestamps: vec![self.timestamp_ms],
            keys: Vec::new(),
            key_ends: Vec::new(),
            header_data: Vec::new(),
            header_ends: Vec::new(),
            header_counts: Vec::new(),
        };
        let answer = self.runner.process(&batch);
        match answer.outcomes[0] {
            1 => Seen::Skipped,
            2 => {
                let replacements = answer.replacements.unwrap_or_else(|| panic!("a replacement was promised"));
                Seen::Replacement { key: replacements.keys, value: replacements.values }
            }
            4 => Seen::Rejected(answer.rejections[0].reason.clone()),
            _ => Seen::Rows(answer.rows.iter().flat_map(|rows| self.print(rows)).collect()),
        }
    }

    fn print(&self, rows: &crate::contract::Rows) -> Vec<Map<String, Value>> {
        let layout = &self.layouts[rows.output as usize];
        let mut start = 0;
        let mut printed = Vec::new();
        for end in &rows.row_ends {
            let row = &rows.data[start..*end as usize];
            start = *end as usize;
            if let Err(error) = validate(layout, row) {
                panic!("not a row: {error}");
            }
            printed.push(json::row(layout, row).unwrap_or_else(|error| panic!("not a row: {error}")));
        }
        printed
    }
}
