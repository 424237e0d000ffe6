//! Spans: the exclusive time of each, by operation and group.

use serde::Deserialize;
use serde_json::Value;
use shared::lenient::{Object, Str, Text};

use crate::event::Data;

/// Stored of a transaction, its root among them; the others are dropped.
const SPANS_MAX: usize = 2000;

/// What is read of a span, and of the trace context, which is the root's.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Span<'a> {
    #[serde(borrow)]
    op: Text<'a>,
    #[serde(borrow)]
    hash: Str<'a>,
    exclusive_time: Value,
}

/// What is stored of a span.
#[derive(Clone, Debug)]
pub struct Timed {
    pub op: String,
    pub group: u64,
    /// Milliseconds.
    pub exclusive_time: f64,
}

impl Span<'_> {
    /// None if it lacks one of the three.
    fn timed(&self) -> Option<Timed> {
        Some(Timed {
            op: self.op.get().filter(|op| !op.is_empty())?.to_owned(),
            group: u64::from_str_radix(self.hash.0.as_deref()?, 16).ok()?,
            exclusive_time: self.exclusive_time.as_f64()?,
        })
    }
}

/// The root and the other spans, sorted.
pub fn timed(data: &Data<'_>) -> Vec<Timed> {
    let root = Object::<Span<'_>>::deserialize(data.contexts.trace()).unwrap_or_default();
    let all = std::iter::once(&root).chain(&data.spans.0);
    let mut spans: Vec<_> = all.filter_map(|Object(span)| span.timed()).take(SPANS_MAX).collect();
    spans.sort_by(|a, b| {
        let by_name = (&a.op, a.group).cmp(&(&b.op, b.group));
        by_name.then(a.exclusive_time.total_cmp(&b.exclusive_time))
    });
    spans
}
