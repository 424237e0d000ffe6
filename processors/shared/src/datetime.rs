//! Times as text: `2023-02-27T15:40:12.223000Z`, the fraction optional.

use tidegate_processor::{DateTime, DateTime64};

/// Milliseconds since 1970. Missing: 0. Not of this form: `now_ms`.
pub fn milliseconds(text: Option<&str>, now_ms: i64) -> i64 {
    text.map_or(0, |text| parse(text).unwrap_or(now_ms))
}

/// Milliseconds as a `DateTime`, at the nearest end where they do not fit.
pub fn seconds(milliseconds: i64) -> DateTime {
    DateTime(u32::try_from(milliseconds.div_euclid(1000).max(0)).unwrap_or(u32::MAX))
}

/// Milliseconds as a `DateTime64(3)`, at the nearest end where they do not fit.
pub fn ticks(milliseconds: i64) -> DateTime64 {
    DateTime64(milliseconds.clamp(YEAR_1900 * 1000, YEAR_2299_END * 1000 + 999))
}

/// Milliseconds since 1970, if the text is a time.
pub fn parse(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(clock, ':')?;
    let valid = (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
    if !valid || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(seconds * 1000 + milliseconds_of(fraction)?)
}

fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator).map(digits);
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn milliseconds_of(fraction: &str) -> Option<i64> {
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    Some(digits.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let before = year - 1;
    let leaps = before / 4 - before / 100 + before / 400;
    let of_year: i64 = (1..month).map(|month| days_of(year, month)).sum();
    before * 365 + leaps + of_year + day - 1 - 719_162
}

/// ClickHouse's `DateTime64` goes from 1900 to 2299: its first and its last second, since 1970.
pub(crate) const YEAR_1900: i64 = -2_208_988_800;
pub(crate) const YEAR_2299_END: i64 = 10_413_791_999;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_with_and_without_fraction() {
        assert_eq!(milliseconds(Some("2023-02-27T15:40:12.223000Z"), 7), 1_677_512_412_223);
        assert_eq!(milliseconds(Some("2024-02-29T00:00:00Z"), 7), 1_709_164_800_000);
        assert_eq!(milliseconds(Some("1970-01-01T00:00:00.9Z"), 7), 900);
    }

    #[test]
    fn what_does_not_fit_becomes_the_nearest_end() {
        let at = |text| parse(text).unwrap_or_default();
        assert_eq!(ticks(at("2024-02-29T00:00:00.25Z")), DateTime64(1_709_164_800_250));
        assert_eq!(ticks(at("2299-12-31T23:59:59.999Z")), DateTime64(10_413_791_999_999));
        assert_eq!(ticks(at("9999-12-31T23:59:59Z")), DateTime64(10_413_791_999_999));
        assert_eq!(ticks(at("0001-01-01T00:00:00Z")), DateTime64(-2_208_988_800_000));
        assert_eq!(seconds(at("9999-12-31T23:59:59Z")), DateTime(u32::MAX));
    }

    #[test]
    fn missing_is_1970_and_nonsense_is_now() {
        assert_eq!(milliseconds(None, 7), 0);
        for text in
            ["", "2023-02-30T00:00:00Z", "2023-02-27 15:40:12", "2023-02-27T15:40:12", "2023-02-27T15:40:12.Z", "x"]
        {
            assert_eq!(milliseconds(Some(text), 7), 7, "{text:?}");
        }
    }
}
