//! When a transaction started and finished, to the microsecond.

use serde_json::Value;
use tidegate_processor::{DateTime, Rejection};

use crate::event::Data;

/// Microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment(u64);

#[derive(Debug)]
pub struct Times {
    pub start: Moment,
    pub finish: Moment,
}

impl Times {
    /// # Errors
    /// If one of the two is no number.
    pub fn of(data: &Data<'_>, now_ms: i64) -> Result<Self, Rejection> {
        let read = |value: &Value, field: &str| {
            let seconds = value.as_f64().ok_or_else(|| format!("\"data.{field}\" is not a number"))?;
            Ok::<_, Rejection>(Moment::at(seconds).unwrap_or(Moment::of_clock(now_ms)))
        };
        Ok(Self { start: read(&data.start_timestamp, "start_timestamp")?, finish: read(&data.timestamp, "timestamp")? })
    }

    /// Milliseconds, rounded down; 0 if it finished before it started.
    pub fn duration_ms(&self) -> u32 {
        u32::try_from(self.finish.0.saturating_sub(self.start.0) / 1000).unwrap_or(u32::MAX)
    }

    pub fn finished_before(&self, days: u16, now_ms: i64) -> bool {
        let kept_us = u64::from(days) * 86_400_000_000;
        self.finish.0.saturating_add(kept_us) < Moment::of_clock(now_ms).0
    }
}

impl Moment {
    /// None if a `DateTime` does not reach so far. Half a microsecond is rounded to the even one, as Python does it.
    fn at(seconds: f64) -> Option<Self> {
        let fraction_us = (seconds.rem_euclid(1.0) * 1e6).round_ties_even() as u64;
        let moment = Self(u64::from(whole_seconds(seconds.floor())?) * 1_000_000 + fraction_us);
        whole_seconds((moment.0 / 1_000_000) as f64).map(|_| moment)
    }

    fn of_clock(now_ms: i64) -> Self {
        Self(now_ms.max(0).unsigned_abs().saturating_mul(1000))
    }

    /// At the latest the end of what a `DateTime` can hold.
    pub fn seconds(self) -> DateTime {
        DateTime(u32::try_from(self.0 / 1_000_000).unwrap_or(u32::MAX))
    }

    /// The milliseconds within the second.
    pub fn milliseconds(self) -> u16 {
        (self.0 / 1000 % 1000) as u16
    }
}

/// Seconds since 1970 without their fraction, if a `DateTime` reaches so far.
pub fn whole_seconds(seconds: f64) -> Option<u32> {
    let whole = seconds.trunc();
    (0.0..=f64::from(u32::MAX)).contains(&whole).then_some(whole as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read_to_the_nearest_microsecond() {
        let cases = [
            (1_680_133_163.188_89, Some(1_680_133_163_188_890)),
            (1_680_133_163.150_449, Some(1_680_133_163_150_449)),
            (0.999_999_9, Some(1_000_000)),
            (0.000_000_4, Some(0)),
            (4_294_967_295.0, Some(4_294_967_295_000_000)),
            (4_294_967_295.999_999_9, None),
            (4_294_967_296.0, None),
            (-0.5, None),
            (1e300, None),
            (-1e300, None),
        ];
        for (seconds, microseconds) in cases {
            assert_eq!(Moment::at(seconds), microseconds.map(Moment), "{seconds}");
        }
    }

    #[test]
    fn a_duration_is_cut_to_milliseconds_and_never_negative() {
        let duration_ms = |start, finish| Times { start: Moment(start), finish: Moment(finish) }.duration_ms();
        assert_eq!(duration_ms(1_680_133_163_150_449, 1_680_133_163_188_890), 38);
        assert_eq!(duration_ms(0, 1_001_000), 1001);
        assert_eq!(duration_ms(2_000_000, 1_000_000), 0);
        assert_eq!(duration_ms(0, 4_294_967_295_000_000), u32::MAX);
    }
}
