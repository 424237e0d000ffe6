//! What a processor says of itself.

use crate::contract;
use crate::record::{Column, Record};

pub use contract::Wants;

/// A processor's name, version, outputs and wishes.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) outputs: Vec<(String, Vec<(String, String)>)>,
    pub(crate) wants: Wants,
    pub(crate) self_test: String,
}

/// For processors without settings: an empty object, or nothing.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

impl Manifest {
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            outputs: Vec::new(),
            wants: Wants::empty(),
            self_test: String::new(),
        }
    }

    /// Declares the next output: its columns by name and ClickHouse type, in the order in which rows write them.
    #[must_use]
    pub fn output(mut self, name: &str, columns: &[(&str, &str)]) -> Self {
        let columns = columns.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned()));
        self.outputs.push((name.into(), columns.collect()));
        self
    }

    /// Declares the next output: its columns are those of a struct that derives `Row`.
    #[must_use]
    pub fn output_of<T: Record>(mut self, name: &str) -> Self {
        self.outputs.push((name.into(), T::COLUMNS.iter().flat_map(Column::each).collect()));
        self
    }

    /// Parts of a message that are only handed over when asked for; each costs a copy.
    #[must_use]
    pub fn wants(mut self, wants: Wants) -> Self {
        self.wants = wants;
        self
    }

    /// Messages and what must come of them, JSON Lines: the host runs them before the module is put to work. A line is what
    /// `NAME.expected.json` of a golden case is, and `payload` beside: text, other JSON, or null.
    ///
    /// ```
    /// # use tidegate_processor::Manifest;
    /// let manifest = Manifest::new("lengths", "1").self_test(
    ///     r#"{"payload": "hello", "outcome": "rows", "rows": [{"output": "lengths", "row": {"bytes": 5}}]}"#,
    /// );
    /// ```
    #[must_use]
    pub fn self_test(mut self, lines: &str) -> Self {
        self.self_test = lines.into();
        self
    }

    pub(crate) fn told(self) -> contract::Manifest {
        let column = |(name, clickhouse_type)| contract::Column { name, clickhouse_type };
        let output = |(name, columns): (String, Vec<_>)| contract::Output {
            name,
            format: contract::RowFormat::RowBinary,
            columns: columns.into_iter().map(column).collect(),
        };
        contract::Manifest {
            name: self.name,
            version: self.version,
            outputs: self.outputs.into_iter().map(output).collect(),
            wants: self.wants,
            self_test: self.self_test,
        }
    }
}
