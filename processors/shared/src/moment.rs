//! Times as numbers of seconds, read to the microsecond as Python reads them.

use tidegate_processor::DateTime;

/// Microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Moment(u64);

impl Moment {
    /// None if a `DateTime` does not reach so far. Half a microsecond is rounded to the even one.
    pub fn at(seconds: f64) -> Option<Self> {
        let fraction_us = (seconds.rem_euclid(1.0) * 1e6).round_ties_even() as u64;
        let moment = Self(u64::from(whole_seconds(seconds.floor())?) * 1_000_000 + fraction_us);
        u32::try_from(moment.0 / 1_000_000).is_ok().then_some(moment)
    }

    pub fn of_clock(now_ms: i64) -> Self {
        Self(now_ms.max(0).unsigned_abs().saturating_mul(1000))
    }

    #[must_use]
    pub fn days_later(self, days: u16) -> Self {
        Self(self.0.saturating_add(u64::from(days) * 86_400_000_000))
    }

    /// Whole seconds; at the latest the end of what a `DateTime` can hold.
    pub fn seconds(self) -> DateTime {
        DateTime(u32::try_from(self.0 / 1_000_000).unwrap_or(u32::MAX))
    }

    /// The whole milliseconds within the second.
    pub fn milliseconds(self) -> u16 {
        (self.0 / 1000 % 1000) as u16
    }

    /// Whole milliseconds; 0 if `earlier` is later, and at most what fits.
    pub fn milliseconds_since(self, earlier: Self) -> u32 {
        u32::try_from(self.0.saturating_sub(earlier.0) / 1000).unwrap_or(u32::MAX)
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
        let duration_ms = |start, finish| Moment(finish).milliseconds_since(Moment(start));
        assert_eq!(duration_ms(1_680_133_163_150_449, 1_680_133_163_188_890), 38);
        assert_eq!(duration_ms(0, 1_001_000), 1001);
        assert_eq!(duration_ms(2_000_000, 1_000_000), 0);
        assert_eq!(duration_ms(0, 4_294_967_295_000_000), u32::MAX);
    }
}
