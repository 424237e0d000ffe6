//! Rules that several processors follow, each in a module named after what it does.

pub mod contexts;
pub mod datetime;
pub mod entries;
pub mod epoch;
pub mod errors_table;
pub mod id;
pub mod lenient;
pub mod metric;
pub mod moment;
pub mod null;
pub mod number;
pub mod payload;
pub mod python;
pub mod retention;
pub mod tags;
pub mod uuid;
pub mod who;
