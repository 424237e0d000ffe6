//! Times as numbers: seconds since 1970, with a fraction. What a column cannot hold becomes its nearest end, and what is
//! finer than a column is cut off.

use tidegate_processor::{DateTime, DateTime64, Rows};

use crate::datetime::{YEAR_1900, YEAR_2299_END};

/// `DateTime`: whole seconds.
pub fn date_time(seconds: f64) -> DateTime {
    DateTime(seconds as u32)
}

/// `DateTime64(6)`.
pub fn microseconds(seconds: f64) -> DateTime64 {
    DateTime64((seconds.clamp(YEAR_1900 as f64, YEAR_2299_END as f64) * 1e6) as i64)
}

/// Says when the message was first received, if `seconds` is a time after 1970.
pub fn received(rows: &mut Rows, seconds: f64) {
    if seconds > 0.0 {
        rows.received((seconds * 1e3) as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finer_parts_are_cut_off() {
        assert_eq!(date_time(1_702_848_658.999), DateTime(1_702_848_658));
        assert_eq!(microseconds(1_710_805_688.123_456_7), DateTime64(1_710_805_688_123_456));
    }

    #[test]
    fn what_does_not_fit_becomes_the_nearest_end() {
        assert_eq!(date_time(-1.5), DateTime(0));
        assert_eq!(date_time(1e12), DateTime(u32::MAX));
        assert_eq!(microseconds(-1e300), DateTime64(-2_208_988_800_000_000));
        assert_eq!(microseconds(1e300), DateTime64(10_413_791_999_000_000));
    }
}
