//! Payloads that are JSON.

use serde::Deserialize;
use tidegate_processor::{Message, Rejection};

/// Reads the payload; the answer may borrow from it.
///
/// # Errors
/// If it is null, not UTF-8, not JSON, or has not the form of `T`.
pub fn json<'a, T: Deserialize<'a>>(message: &Message<'a>) -> Result<T, Rejection> {
    Ok(serde_json::from_str(text(message)?)?)
}

/// Reads a payload that is one object. serde takes an array for an object, its elements for the fields in their order.
///
/// # Errors
/// As [`json`], and if it is not an object.
pub fn object<'a, T: Deserialize<'a>>(message: &Message<'a>) -> Result<T, Rejection> {
    let text = text(message)?;
    if !text.trim_ascii_start().starts_with('{') {
        return Err("the payload is not an object".into());
    }
    Ok(serde_json::from_str(text)?)
}

fn text<'a>(message: &Message<'a>) -> Result<&'a str, Rejection> {
    simdutf8::basic::from_utf8(message.payload()?).map_err(|_| "the payload is not UTF-8".into())
}
