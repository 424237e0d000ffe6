//! A JSON object as a row in RowBinary, read as ClickHouse reads JSONEachRow; the inverse of [`crate::json`]. What
//! ClickHouse would guess at is refused: nothing is a default but a key that is left out.
//!
//! Values are written as they are parsed, by the type of their column. Only a row whose keys do not come in the order
//! of the columns is put in order afterwards.

mod objects;
mod values;

use serde::de::DeserializeSeed;

use crate::layout::Layout;
use crate::walk::{RowError, validate};
use objects::Members;

/// A row with columns left out may be no larger in RowBinary, however wide their types are.
const DEFAULTS_BYTES_MAX: usize = 64 << 20;

/// Appends the row that `line` says, an object with a key per column, to `row`; nothing in case of an error.
///
/// A column without a key has its type's zero value: null, empty, 0, 1970-01-01, the smallest value of an
/// enum, as in ClickHouse. Integers, decimals and floats may be numbers or text ("nan", "inf"); a DateTime is text or
/// seconds, a DateTime64 text or ticks, as text both are UTC; an enum is a name or a number; a named tuple is an object
/// or an array. White space may follow.
///
/// # Errors
/// At the first key that is no column or came before, the first value that is not of its type, and wherever the text is
/// not JSON; [`RowError::at`] is a byte of the line then. After that as [`validate`].
pub fn encode(layout: &Layout, line: &[u8], row: &mut Vec<u8>) -> Result<(), RowError> {
    let start = row.len();
    let encoded = object(layout, line, row).and_then(|()| validate(layout, &row[start..]));
    if encoded.is_err() {
        row.truncate(start);
    }
    encoded
}

fn object(layout: &Layout, line: &[u8], row: &mut Vec<u8>) -> Result<(), RowError> {
    let mut column = String::new();
    let mut json = serde_json::Deserializer::from_slice(line);
    let members = Members { fields: layout, row, on_key: |name: &str| name.clone_into(&mut column) };
    let done = members.deserialize(&mut json).and_then(|()| json.end());
    done.map_err(|error| {
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        RowError { column, at: error.column(), cause: text.strip_suffix(&place).unwrap_or(&text).into() }
    })
}
