//! Rules that several processors follow, each in a module named after what it does.

pub mod datetime;
pub mod entries;
pub mod errors_table;
pub mod lenient;
pub mod retention;
pub mod uuid;
pub mod who;
