//! The example processor in each language, as `cargo xtask guests` builds it. All have the same fixtures.

use crate::processors::{Processor, repository};

/// All of them, in the order of their names.
pub fn all() -> [Processor; 3] {
    let folder = repository().join("examples/guests");
    ["c", "javascript", "python"]
        .map(|language| Processor { name: format!("page-views-{language}"), folder: folder.clone() })
}
