//! Messages that are JSON.

use serde::Deserialize;
use tidegate_processor::{Message, Rejection};

/// The payload, read as `T`.
///
/// # Errors
/// If it is null, not UTF-8, not JSON, or has not the form of `T`.
pub fn read<'a, T: Deserialize<'a>>(message: &Message<'a>) -> Result<T, Rejection> {
    let text = simdutf8::basic::from_utf8(message.payload()?).map_err(|_| "the payload is not UTF-8")?;
    Ok(serde_json::from_str(text)?)
}
