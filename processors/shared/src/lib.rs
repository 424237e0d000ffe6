//! Rules that several processors follow, each in a module named after what it does.

pub mod datetime;
pub mod entries;
pub mod epoch;
pub mod id;
pub mod json;
pub mod lenient;
pub mod number;
pub mod retention;
pub mod uuid;
pub mod who;
