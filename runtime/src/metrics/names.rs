//! A bound on labels that come from modules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// Names that were seen, by the metric's pipeline and the kind of name. A module may call itself and its counters anything,
/// and a pipeline may see a thousand versions of it: past the bound all are `other`.
#[derive(Default)]
pub(super) struct Names(Mutex<BTreeMap<(String, &'static str), BTreeSet<String>>>);

/// Names of a kind in a pipeline.
const NAMES_MAX: usize = 100;

impl Names {
    pub(super) fn bounded<'a>(&self, pipeline: &str, kind: &'static str, name: &'a str) -> &'a str {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let names = all.entry((pipeline.to_owned(), kind)).or_default();
        let known = names.contains(name) || (names.len() < NAMES_MAX && names.insert(name.to_owned()));
        if known { name } else { "other" }
    }
}
