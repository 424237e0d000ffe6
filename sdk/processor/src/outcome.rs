//! What becomes of a message.

use std::borrow::Cow;
use std::fmt;

use crate::sql::{Condition, Expression};

/// The one outcome of a message that was understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The rows that were ended while it was processed: none, one or many.
    Rows,
    /// Nothing is to be written, on purpose.
    Skipped,
    /// A message that changes rows already written: published to the replacement topic once the rows before it are
    /// durable.
    Replacement { key: Vec<u8>, value: Vec<u8> },
    /// Rows already written are written again with other values, one rewrite after the other, once the rows before
    /// them are durable and before later rows are written. Rows that were ended while the message was processed are
    /// written first.
    Rewrite(Vec<Rewrite>),
}

/// `INSERT INTO table (columns) SELECT expressions FROM table FINAL WHERE predicate`; the host knows the table.
///
/// It may be carried out again after an error or a crash, so doing it twice must be the same as doing it once. Columns,
/// in expressions too, are those of the output; columns that are left out get their default.
///
/// ```
/// use tidegate_processor::Rewrite;
/// use tidegate_processor::sql::{column, number};
/// let rewrite = Rewrite {
///     output: 0,
///     columns: vec![("id".into(), column("id")), ("group_id".into(), number(2))],
///     predicate: column("group_id").eq(number(1)),
/// };
/// assert_eq!(rewrite.predicate.to_string(), "group_id = 1");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Rewrite {
    /// Index into the manifest's outputs.
    pub output: usize,
    /// Column and its new value.
    pub columns: Vec<(String, Expression)>,
    pub predicate: Condition,
}

/// Why a message cannot be processed: for people, in the dead letter's header.
#[derive(Clone, PartialEq, Eq)]
pub struct Rejection(Cow<'static, str>);

impl Rejection {
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self(reason.into())
    }

    pub(crate) fn into_reason(self) -> String {
        self.0.into_owned()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<serde_json::Error> for Rejection {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string().into())
    }
}

impl From<String> for Rejection {
    fn from(reason: String) -> Self {
        Self(reason.into())
    }
}

impl From<&'static str> for Rejection {
    fn from(reason: &'static str) -> Self {
        Self(reason.into())
    }
}
