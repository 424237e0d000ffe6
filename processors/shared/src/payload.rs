//! Payloads that are JSON.

use serde::Deserialize;
use tidegate_processor::{Message, Rejection};

/// Reads a payload that is one JSON object; the answer may borrow from it.
///
/// # Errors
/// If it is null, not UTF-8, or not an object of this shape.
pub fn object<'a, T: Deserialize<'a>>(message: &Message<'a>) -> Result<T, Rejection> {
    let text = simdutf8::basic::from_utf8(message.payload()?).map_err(|_| "the payload is not UTF-8")?;
    // serde takes an array for an object, its elements for the fields in their order.
    if !text.trim_ascii_start().starts_with('{') {
        return Err("the payload is not an object".into());
    }
    Ok(serde_json::from_str(text)?)
}
