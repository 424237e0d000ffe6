//! UUIDs made of what is no UUID.

use md5::{Digest, Md5};
use tidegate_processor::Uuid;

/// The UUID that the text is, or else its MD5.
pub fn of(text: &str) -> Uuid {
    Uuid::parse(text).unwrap_or_else(|| md5(text.as_bytes()))
}

/// The MD5 of some bytes, taken as a UUID.
pub fn md5(bytes: &[u8]) -> Uuid {
    Uuid(Md5::digest(bytes).into())
}
