//! The time that the reference's older records carry in a header: `2023-10-04T01:12:26.000000Z`.

/// Unix seconds; none when the text is no such time.
pub(crate) fn seconds(text: &str) -> Option<f64> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = split(date, '-')?;
    let [hour, minute, second] = split(clock, ':')?;
    let date = [number(year, 1970..=9999)?, number(month, 1..=12)?, number(day, 1..=31)?];
    let (whole, fraction) = second.split_once('.').unwrap_or((second, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let clock = number(hour, 0..=23)? * 3600 + number(minute, 0..=59)? * 60 + number(whole, 0..=60)?;
    let fraction: f64 = format!("0.{fraction}").parse().ok()?;
    Some((days(date) * 86_400 + clock) as f64 + fraction)
}

fn split(text: &str, between: char) -> Option<[&str; 3]> {
    text.split(between).collect::<Vec<_>>().try_into().ok()
}

fn number(text: &str, allowed: std::ops::RangeInclusive<i64>) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits)?;
    allowed.contains(&number).then_some(number)
}

/// Days from 1970 to a date of the Gregorian calendar; a year begins in March here, so that its leap day is its last.
fn days([year, month, day]: [i64; 3]) -> i64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (text, expected) in [
            ("1970-01-01T00:00:00.000000Z", 0.0),
            ("2000-02-29T23:59:59.500000Z", 951_868_799.5),
            ("2023-10-04T01:12:26.250000Z", 1_696_381_946.25),
            ("2024-12-31T00:00:00Z", 1_735_603_200.0),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn nonsense_is_no_time() {
        for text in [
            "",
            "Z",
            "2023-10-04",
            "2023-10-04T01:12Z",
            "2023-13-04T01:12:26.0Z",
            "2023-10-04T24:12:26.0Z",
            "2023-10-04T01:12:26.Z",
            "2023-10-04T01:12:26.5",
            "2023-10-04-01T01:12:26.5Z",
            "9223372036854775807-01-01T00:00:00.0Z",
            "2023-10-04T01:12:infZ",
            "2023-10-04T01:12:-1Z",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
