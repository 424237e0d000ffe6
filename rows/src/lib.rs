//! Rows in RowBinary: the types of their columns, and one walk over their bytes with several uses
//! (validating, printing as JSON), and rows made of JSON. Knows ClickHouse's encodings, not ClickHouse.
//!
//! ```
//! use tidegate_rows::{Layout, encode, json, validate};
//!
//! let layout = Layout::parse([("id", "UInt16"), ("name", "Nullable(String)")])?;
//! let row = [7, 0, 0, 2, b'h', b'i'];
//! validate(&layout, &row)?;
//! assert_eq!(serde_json::Value::from(json::row(&layout, &row)?).to_string(), r#"{"id":7,"name":"hi"}"#);
//! let mut encoded = Vec::new();
//! encode(&layout, br#"{"name": "hi", "id": 7}"#, &mut encoded)?;
//! assert_eq!(encoded, row);
//! // A null flag of 2 would be taken for NULL by ClickHouse.
//! assert!(validate(&layout, &[7, 0, 2]).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod calendar;
mod encode;
pub mod json;
mod layout;
mod types;
mod walk;
mod wide;

pub use encode::encode;
pub use layout::{Column, Layout};
pub use types::{Type, TypeError};
pub use walk::{Reject, RowError, Visitor, validate, walk};
