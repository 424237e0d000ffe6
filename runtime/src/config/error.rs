//! What is wrong with a configuration: where, and the way out.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_saphyr::Location;

/// All problems of one file.
#[derive(Debug, PartialEq)]
pub struct ConfigError {
    path: PathBuf,
    problems: Vec<Problem>,
}

/// One problem.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Line and column, from 1; none where the whole file is meant.
    at: Option<(u64, u64)>,
    text: String,
    hint: Option<String>,
}

impl Problem {
    pub(super) fn new(location: Location, text: String, hint: Option<String>) -> Self {
        let known = location != Location::UNKNOWN;
        Self { at: known.then(|| (location.line(), location.column())), text, hint }
    }

    pub(super) fn at_the_start(text: &str, hint: &str) -> Self {
        Self { at: Some((1, 1)), text: text.into(), hint: Some(hint.into()) }
    }

    pub(super) fn of_parser(error: &serde_saphyr::Error) -> Self {
        let plain = error.without_snippet();
        let location = plain.location().unwrap_or(Location::UNKNOWN);
        let text = plain.to_string();
        // The parser ends its texts with the position, which is printed in front here.
        let text = text.split(" at line ").next().unwrap_or(&text);
        let text = text.split("\n").next().unwrap_or(text).trim_start_matches("error: ").trim();
        match nearest_field(text) {
            Some(hint) => Self::new(location, text.to_owned(), Some(hint)),
            None => Self::of_value(location, text),
        }
    }

    /// Our own values say what is wrong; and then the way out.
    pub(super) fn of_value(location: Location, text: &str) -> Self {
        match text.split_once("; ") {
            Some((wrong, way_out)) => Self::new(location, wrong.to_owned(), Some(way_out.to_owned())),
            None => Self::new(location, text.to_owned(), None),
        }
    }

    /// Whether the other is on the same line.
    pub(super) fn is_beside(&self, other: &Problem) -> bool {
        let line = |problem: &Problem| problem.at.map(|(line, _)| line);
        line(self).is_some() && line(self) == line(other)
    }
}

impl ConfigError {
    pub(super) fn of(path: &Path, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.at);
        // What stands for several slices is wrong once.
        problems.dedup();
        Self { path: path.to_owned(), problems }
    }

    pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        let text = format!("failed to read the configuration: {error}");
        Self { path: path.to_owned(), problems: vec![Problem { at: None, text, hint: None }] }
    }
}

/// For ``unknown field `x`, expected one of a, b``: the field that may have been meant; for a missing one: where to look.
fn nearest_field(text: &str) -> Option<String> {
    if let Some(missing) = text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        return Some(format!("write {missing}: here; docs/configuration.md says what it may be"));
    }
    let (unknown, known) = text.strip_prefix("unknown field `")?.split_once("`, expected one of ")?;
    let known: Vec<&str> = known.split(", ").collect();
    Some(hint(unknown, &known, "keys"))
}

/// `did you mean "x"?`, or what there is.
pub(super) fn hint(given: &str, known: &[&str], what: &str) -> String {
    let near = known.iter().map(|name| (strsim::damerau_levenshtein(given, name), name)).min();
    match near {
        Some((distance, name)) if distance <= 2.max(given.len() / 3) => format!("did you mean {name:?}?"),
        Some(_) => format!("known {what} are {}", known.join(", ")),
        None => format!("there are no {what}"),
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            let separator = if number == 0 { "" } else { "\n\n" };
            write!(f, "{separator}{}", self.path.display())?;
            if let Some((line, column)) = problem.at {
                write!(f, ":{line}:{column}")?;
            }
            write!(f, ": {}", problem.text)?;
            if let Some(hint) = &problem.hint {
                write!(f, "\n\nhint: {hint}")?;
            }
        }
        Ok(())
    }
}
