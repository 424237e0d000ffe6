//! What ClickHouse's exception codes mean to a writer (docs/decisions/0005-insert-errors.md).

use super::Error;
use crate::error::Remedy;

/// Kinds of failure, each with one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It may be written or not: the same bytes and token again.
    UnknownOutcome,
    /// Too much for the server now: the same again, later.
    Overload,
    /// This replica or shard cannot; another may.
    Replica,
    /// Too few replicas confirm, whichever of them is asked. What an earlier insert waits for (286) may be this very block.
    Quorum,
    /// Somebody has to create, grant or mend something.
    Operator,
    /// The server refuses the rows although they were walked: a constraint, a materialized view.
    Data,
    /// Bytes were damaged on the way.
    Corruption,
}

impl Class {
    /// `text` decides where one code has two meanings.
    pub fn of(code: u32, text: &str) -> Self {
        match code {
            252 if text.contains("partitions for single INSERT") => Class::Data,
            117 if text.contains("reading header") => Class::Operator,
            319 | 394 | 159 | 160 | 209 | 210 | 425 | 999..=1002 | 236 | 32 | 3 => Class::UnknownOutcome,
            252 | 202 | 745 | 762 | 749 | 241 | 364 | 201 | 574 | 243 | 173 | 439 => Class::Overload,
            285 | 286 => Class::Quorum,
            242 | 254 | 265 | 279 | 289 | 297 | 369 | 225 | 203 | 198 => Class::Replica,
            43 | 46 | 47 | 53 | 181 | 60 | 81 | 16 | 115 | 73 | 62 | 36 | 516 | 192 | 193 | 497 | 164 | 452 | 50
            | 20 => Class::Operator,
            27 if text.contains("setting") => Class::Operator,
            33 | 131 | 128 | 117 | 469 | 321 | 349 | 395 | 691 | 407 | 6 | 26 | 27 | 38 | 41 | 72 => Class::Data,
            271 | 40 => Class::Corruption,
            _ => Class::UnknownOutcome,
        }
    }

    pub fn remedy(self) -> Remedy {
        match self {
            Class::UnknownOutcome | Class::Overload | Class::Replica | Class::Quorum | Class::Corruption => {
                Remedy::Retry
            }
            Class::Operator | Class::Data => Remedy::Hold,
        }
    }
}

impl Error {
    pub fn class(&self) -> Class {
        match self {
            Error::Connect { .. } | Error::Transport { .. } | Error::Answer { .. } => Class::UnknownOutcome,
            Error::Tls { .. } => Class::Operator,
            Error::Exception { code, text, .. } => Class::of(*code, text),
            Error::Status { status: 400..=499, .. } => Class::Operator,
            Error::Status { .. } => Class::UnknownOutcome,
        }
    }

    pub fn code(&self) -> Option<u32> {
        match self {
            Error::Exception { code, .. } => Some(*code),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_code_may_have_two_meanings() {
        assert_eq!(Class::of(252, "Too many parts (300)"), Class::Overload);
        assert_eq!(Class::of(252, "Too many partitions for single INSERT block"), Class::Data);
        assert_eq!(Class::of(117, "while reading header"), Class::Operator);
        assert_eq!(Class::of(117, "Incorrect data"), Class::Data);
    }

    #[test]
    fn what_nobody_knows_is_retried_and_what_somebody_must_mend_is_held() {
        assert_eq!(Class::of(4_242, "new in the next version").remedy(), Remedy::Retry);
        assert_eq!(Class::of(60, "Unknown table").remedy(), Remedy::Hold);
        assert_eq!(Class::of(319, "Unknown status, client must retry").remedy(), Remedy::Retry);
        let proxy = Error::Status { host: "h".into(), status: 502, text: String::new() };
        assert_eq!(proxy.class().remedy(), Remedy::Retry);
    }
}
