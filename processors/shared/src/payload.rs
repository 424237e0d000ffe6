//! Payloads that are JSON.

use serde::Deserialize;
use tidegate_processor::{Message, Rejection};

/// Reads the payload; the answer may borrow from it.
///
/// # Errors
/// If it is null, not UTF-8, or not JSON of this shape.
pub fn json<'a, T: Deserialize<'a>>(message: &Message<'a>) -> Result<T, Rejection> {
    let text = simdutf8::basic::from_utf8(message.payload()?).map_err(|_| "the payload is not UTF-8")?;
    Ok(serde_json::from_str(text)?)
}
