//! Where a pipeline is moved to.

use std::str::FromStr;

use tidegate_rows::calendar;

use crate::clock::now_ms;
use crate::config::Duration;
use crate::offset::Range;

/// As `--to` says it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    Earliest,
    Latest,
    Offset(i64),
    /// The first message that is as late, milliseconds since 1970.
    At(i64),
    /// The first message that is not older.
    Ago(Duration),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => return Ok(Self::Earliest),
            "latest" => return Ok(Self::Latest),
            _ => {}
        }
        if let Some(duration) = text.strip_suffix("-ago") {
            return duration.parse().map(Self::Ago);
        }
        let offset = text.parse().ok().filter(|offset| *offset >= 0).map(Self::Offset);
        let at = || calendar::parse_date_time(text, 3).map(Self::At);
        offset.or_else(at).ok_or_else(|| {
            "write earliest, latest, an offset, a time in UTC (2026-01-31T12:00:00Z) or how long ago (90m-ago)".into()
        })
    }
}

impl Target {
    /// The time that has to be looked up, milliseconds since 1970.
    pub fn time_ms(self) -> Option<i64> {
        match self {
            Self::At(at) => Some(at),
            Self::Ago(Duration(ago)) => Some((now_ms() - ago.as_millis() as i64).max(0)),
            Self::Earliest | Self::Latest | Self::Offset(_) => None,
        }
    }

    /// The position in a partition that has these messages; `found` is the offset that was looked up, none when no message is
    /// as late.
    ///
    /// # Errors
    /// For an offset that is not there.
    pub fn position(self, has: Range, found: Option<i64>) -> Result<i64, String> {
        match self {
            Self::Earliest => Ok(has.start),
            Self::Latest => Ok(has.end),
            Self::At(_) | Self::Ago(_) => Ok(found.unwrap_or(has.end)),
            Self::Offset(offset) if (has.start..=has.end).contains(&offset) => Ok(offset),
            Self::Offset(offset) => Err(format!("it has {has}, and {offset} is not in there")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_words_offsets_and_times() {
        let ago = |seconds| Target::Ago(Duration(std::time::Duration::from_secs(seconds)));
        for (text, expected) in [
            ("earliest", Some(Target::Earliest)),
            ("latest", Some(Target::Latest)),
            ("1042", Some(Target::Offset(1042))),
            ("90m-ago", Some(ago(5400))),
            ("1970-01-01T00:00:01.500Z", Some(Target::At(1500))),
            ("1970-01-02", Some(Target::At(86_400_000))),
            ("-5", None),
            ("90m", None),
            ("90-ago", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(text.parse::<Target>().ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_position_is_one_that_the_topic_has() {
        let has = Range::new(10, 20);
        assert_eq!(Target::Earliest.position(has, None), Ok(10));
        assert_eq!(Target::Latest.position(has, None), Ok(20));
        assert_eq!(Target::At(5).position(has, Some(12)), Ok(12));
        assert_eq!(Target::At(5).position(has, None), Ok(20), "nothing is as late yet");
        assert_eq!([10, 20].map(|at| Target::Offset(at).position(has, None)), [Ok(10), Ok(20)]);
        for beyond in [9, 21] {
            assert!(Target::Offset(beyond).position(has, None).unwrap_err().contains("it has [10..20)"));
        }
    }
}
