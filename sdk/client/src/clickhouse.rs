//! Reading rows such that the answer has what was waited for: SELECTs over ClickHouse's HTTP interface, with the settings of
//! a consistency profile sent with each of them, never set for all.
//!
//! The commit log says that a group has written; it does not say that every replica shows it. A reader that needs both waits
//! first, and then reads with the profile of the storage.

mod consistency;
mod reader;

pub use consistency::{Consistency, UnknownConsistency};
pub use reader::{Query, ReadError, Reader, ReaderSettings};
