//! A module's self-test: messages in its manifest and what must come of them, run before it is put to work.

use super::{InstanceConfig, Module};
use crate::cases::{Case, CaseError, Difference};

/// Why a module fails its own test.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    #[error("the self-test has {bytes} bytes, and may have {BYTES_MAX}")]
    TooLong { bytes: usize },
    #[error("the self-test has {cases} messages, and may have {CASES_MAX}")]
    TooMany { cases: usize },
    #[error("line {line} of the self-test is not understood: {error}")]
    Line { line: usize, error: serde_json::Error },
    #[error("line {line} of the self-test cannot be run: {error}")]
    Case { line: usize, error: CaseError },
    /// `others` further differences of the same message are not shown.
    #[error("line {line} of the self-test came out otherwise: {first}{}", more(*others))]
    Differs { line: usize, first: Box<Difference>, others: usize },
}

const BYTES_MAX: usize = 1 << 20;
const CASES_MAX: usize = 1000;

/// Runs every message of the self-test in an instance of its own, within the limits and by the columns of `config`. Returns
/// how many there are: 0 where the module has no test.
///
/// # Errors
/// [`SelfTestError`], at the first message that is not as it must be.
pub fn self_test(module: &Module, config: &InstanceConfig) -> Result<usize, SelfTestError> {
    let text = &module.manifest().self_test;
    if text.len() > BYTES_MAX {
        return Err(SelfTestError::TooLong { bytes: text.len() });
    }
    let lines: Vec<_> = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()).collect();
    if lines.len() > CASES_MAX {
        return Err(SelfTestError::TooMany { cases: lines.len() });
    }
    for (line, text) in &lines {
        let line = *line;
        let case = Case::of_line(format!("line {line}"), text).map_err(|error| SelfTestError::Line { line, error })?;
        let seen = case.run(module, config).map_err(|error| SelfTestError::Case { line, error })?;
        let mut differences = case.differences(&seen).into_iter();
        if let Some(first) = differences.next() {
            return Err(SelfTestError::Differs { line, first: Box::new(first), others: differences.len() });
        }
    }
    Ok(lines.len())
}

fn more(others: usize) -> String {
    if others == 0 { String::new() } else { format!("; and {others} more differences") }
}
