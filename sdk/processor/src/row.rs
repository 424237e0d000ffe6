//! Rows: written column by column, in the order of the manifest, and never left half written.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::encode::{
    Date, Date32, DateTime, DateTime64, Decimal, Encode, EncodeString, Enum8, Enum16, Uuid, Wide, length,
};
use crate::outcome::Rejection;
use crate::record::Record;

/// The rows of one call, by output.
#[derive(Debug, Default)]
pub struct Rows {
    pub(crate) outputs: Vec<OutputRows>,
    pub(crate) source: u32,
    pub(crate) received_ms: i64,
}

#[derive(Debug, Default)]
pub(crate) struct OutputRows {
    pub(crate) data: Vec<u8>,
    pub(crate) ends: Vec<u32>,
    pub(crate) sources: Vec<u32>,
    shape: Shape,
}

/// What the rows of an output must look like.
#[derive(Debug, Default)]
struct Shape {
    columns: usize,
    /// Per column, the number of its `Nested`; see `lengths`.
    nested: Vec<Option<usize>>,
    /// Per `Nested`, the length of its arrays in the row being written.
    lengths: Vec<Option<usize>>,
}

/// A row being written. Every method writes the next column and is named after its ClickHouse type.
///
/// Dropped before [`end`](Row::end), it leaves no byte.
///
/// ```
/// # use tidegate_processor::{Rows, Manifest, DateTime};
/// # let manifest = Manifest::new("m", "1").output("o", &[
/// #     ("id", "UInt64"), ("at", "DateTime"), ("level", "LowCardinality(Nullable(String))"),
/// #     ("tags.key", "Array(String)"), ("tags.value", "Array(String)")]);
/// # let mut rows = tidegate_processor::Rows::for_manifest(&manifest);
/// let tags = [("a", "1"), ("b", "2")];
/// let mut row = rows.begin(0);
/// row.u64(7)
///     .date_time(DateTime(1_700_000_000))
///     .nullable(Some("error"))
///     .array(tags.iter().map(|(key, _)| *key))
///     .array(tags.iter().map(|(_, value)| *value));
/// row.end()?;
/// # Ok::<(), tidegate_processor::Rejection>(())
/// ```
#[derive(Debug)]
#[must_use = "a row counts when it is ended"]
pub struct Row<'a> {
    rows: &'a mut OutputRows,
    start: usize,
    source: u32,
    column: usize,
    wrong: Option<Rejection>,
    ended: bool,
}

macro_rules! columns {
    ($($(#[$doc:meta])* $method:ident($kind:ty);)*) => {
        $($(#[$doc])*
        #[inline]
        pub fn $method(&mut self, value: $kind) -> &mut Self {
            value.encode(self.next());
            self
        })*
    };
}

impl Rows {
    /// Empty rows for the outputs of a manifest.
    pub fn for_manifest(manifest: &crate::Manifest) -> Self {
        let outputs =
            manifest.outputs.iter().map(|(_, columns)| OutputRows { shape: Shape::of(columns), ..Default::default() });
        Self { outputs: outputs.collect(), ..Self::default() }
    }

    /// Begins a row of an output, given by its place in the manifest.
    ///
    /// # Panics
    /// If the manifest has no such output.
    pub fn begin(&mut self, output: usize) -> Row<'_> {
        let rows = &mut self.outputs[output];
        rows.shape.lengths.iter_mut().for_each(|length| *length = None);
        let start = rows.data.len();
        Row { rows, start, source: self.source, column: 0, wrong: None, ended: false }
    }

    /// Writes a row of an output, given by its place in the manifest, from a struct that derives `Row`.
    ///
    /// # Errors
    /// If the output was not declared with the columns of the struct.
    ///
    /// # Panics
    /// If the manifest has no such output.
    #[inline]
    pub fn write<T: Record>(&mut self, output: usize, record: &T) -> Result<(), Rejection> {
        let mut row = self.begin(output);
        record.write(&mut row);
        row.end()
    }

    /// When the system that sent this message first received it, milliseconds since 1970: what latencies and
    /// `received_p99` of the commit log are measured from.
    pub fn received(&mut self, at_ms: i64) {
        self.received_ms = at_ms;
    }

    /// Takes back the rows of the message `source`.
    pub(crate) fn take_back(&mut self, source: u32) {
        for rows in &mut self.outputs {
            while rows.sources.last() == Some(&source) {
                rows.sources.pop();
                rows.ends.pop();
            }
            rows.data.truncate(rows.ends.last().map_or(0, |end| *end as usize));
        }
    }
}

impl Row<'_> {
    columns! {
        u8(u8);
        u16(u16);
        u32(u32);
        u64(u64);
        u128(u128);
        /// `UInt256`.
        u256(Wide);
        i8(i8);
        i16(i16);
        i32(i32);
        i64(i64);
        i128(i128);
        /// `Int256`.
        i256(Wide);
        f32(f32);
        f64(f64);
        bool(bool);
        /// `String`, `LowCardinality(String)`.
        string(&str);
        uuid(Uuid);
        date(Date);
        date32(Date32);
        date_time(DateTime);
        /// Ticks of the column's precision.
        date_time64(DateTime64);
        decimal32(Decimal<i32>);
        decimal64(Decimal<i64>);
        decimal128(Decimal<i128>);
        decimal256(Wide);
        enum8(Enum8);
        enum16(Enum16);
        ipv4(Ipv4Addr);
        ipv6(Ipv6Addr);
    }

    /// `String` of any bytes.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        value.encode_string(self.next());
        self
    }

    /// `FixedString(len)`, filled up with zero bytes. A longer value fails the row.
    pub fn fixed_string(&mut self, value: &[u8], len: usize) -> &mut Self {
        if value.len() > len {
            self.fail(format!("{} bytes for a FixedString({len})", value.len()));
        }
        let out = self.next();
        let end = out.len() + len;
        out.extend_from_slice(&value[..value.len().min(len)]);
        out.resize(end, 0);
        self
    }

    /// `Nullable(T)`, also within `LowCardinality`.
    #[inline]
    pub fn nullable(&mut self, value: Option<impl Encode>) -> &mut Self {
        value.encode(self.next());
        self
    }

    /// `Array(T)`, and each column of a `Nested`, whose arrays must be of one length.
    pub fn array<T: Encode>(&mut self, values: impl IntoIterator<Item = T, IntoIter: Clone>) -> &mut Self {
        let values = values.into_iter();
        let len = values.clone().count();
        self.check_nested(len);
        let out = self.next();
        length(len, out);
        values.for_each(|value| value.encode(out));
        self
    }

    /// `Map(K, V)`.
    pub fn map<K: Encode, V: Encode>(&mut self, pairs: &[(K, V)]) -> &mut Self {
        pairs.encode(self.next());
        self
    }

    /// Any other value: a tuple of two, an array of arrays.
    #[inline]
    pub fn value(&mut self, value: impl Encode) -> &mut Self {
        value.encode(self.next());
        self
    }

    /// Ends the row: it counts now, unless its message is rejected later.
    ///
    /// # Errors
    /// If it has not the columns of the manifest, a `Nested` has arrays of unequal lengths, or a value did not fit.
    pub fn end(mut self) -> Result<(), Rejection> {
        if let Some(wrong) = self.wrong.take() {
            return Err(wrong);
        }
        let columns = self.rows.shape.columns;
        if self.column != columns {
            return Err(Rejection::new(format!("the row has {} columns instead of {columns}", self.column)));
        }
        self.ended = true;
        self.rows.ends.push(self.rows.data.len() as u32);
        self.rows.sources.push(self.source);
        Ok(())
    }

    #[inline]
    fn next(&mut self) -> &mut Vec<u8> {
        self.column += 1;
        &mut self.rows.data
    }

    fn check_nested(&mut self, len: usize) {
        let shape = &mut self.rows.shape;
        let Some(Some(group)) = shape.nested.get(self.column).copied() else { return };
        match shape.lengths[group] {
            Some(other) if other != len => {
                self.fail(format!("column {}: {len} elements, another column of the Nested has {other}", self.column));
            }
            _ => shape.lengths[group] = Some(len),
        }
    }

    fn fail(&mut self, reason: String) {
        self.wrong.get_or_insert(Rejection::new(reason));
    }
}

impl Drop for Row<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.rows.data.truncate(self.start);
        }
    }
}

impl Shape {
    fn of(columns: &[(String, String)]) -> Self {
        let mut groups: Vec<&str> = Vec::new();
        let nested = columns.iter().map(|(name, kind)| {
            let (group, _) = name.split_once('.').filter(|_| kind.starts_with("Array("))?;
            Some(groups.iter().position(|have| *have == group).unwrap_or_else(|| {
                groups.push(group);
                groups.len() - 1
            }))
        });
        let nested = nested.collect();
        Self { columns: columns.len(), nested, lengths: vec![None; groups.len()] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Manifest;

    fn rows() -> Rows {
        let columns = [("id", "UInt8"), ("n.a", "Array(UInt8)"), ("n.b", "Array(UInt8)")];
        Rows::for_manifest(&Manifest::new("m", "1").output("o", &columns))
    }

    #[test]
    fn a_row_that_is_not_ended_leaves_no_byte() {
        let mut rows = rows();
        rows.begin(0).u8(1).array([1u8, 2]);
        assert!(rows.outputs[0].data.is_empty());
    }

    #[test]
    fn a_row_with_too_few_columns_is_refused_and_leaves_no_byte() {
        let mut rows = rows();
        let mut row = rows.begin(0);
        row.u8(1);
        assert_eq!(row.end().unwrap_err().to_string(), "the row has 1 columns instead of 3");
        assert!(rows.outputs[0].data.is_empty() && rows.outputs[0].ends.is_empty());
    }

    #[test]
    fn arrays_of_a_nested_must_have_one_length() {
        let mut rows = rows();
        let mut row = rows.begin(0);
        row.u8(1).array([1u8, 2]).array([1u8]);
        assert!(row.end().unwrap_err().to_string().contains("1 elements, another column of the Nested has 2"));
        let mut row = rows.begin(0);
        row.u8(1).array([1u8]).array([1u8]);
        row.end().unwrap();
        assert_eq!(rows.outputs[0].data, [1, 1, 1, 1, 1]);
    }

    #[test]
    fn rows_of_a_message_are_taken_back_together() {
        let mut rows = rows();
        for source in [0, 1, 1] {
            rows.source = source;
            let mut row = rows.begin(0);
            row.u8(9).array([0u8; 0]).array([0u8; 0]);
            row.end().unwrap();
        }
        rows.take_back(1);
        assert_eq!(rows.outputs[0].sources, [0]);
        assert_eq!(rows.outputs[0].data.len(), 3);
    }
}
