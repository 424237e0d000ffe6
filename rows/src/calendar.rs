//! Days and seconds since 1970 as UTC text, as ClickHouse prints them, and read from it.

/// `2023-02-27`
pub fn date(days: i64) -> String {
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `2023-02-27 15:40:12`
pub fn date_time(seconds: i64) -> String {
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    format!("{} {:02}:{:02}:{:02}", date(days), of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// `2023-02-27 15:40:12.223` for 3 digits.
pub fn date_time_64(ticks: i64, digits: u8) -> String {
    let per_second = 10i64.pow(u32::from(digits));
    let text = date_time(ticks.div_euclid(per_second));
    match digits {
        0 => text,
        _ => format!("{text}.{:0width$}", ticks.rem_euclid(per_second), width = usize::from(digits)),
    }
}

/// Year, month and day of the proleptic Gregorian calendar, counted in eras of 400 years that begin in March.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Days since 1970 of `2023-02-27`.
pub fn parse_date(text: &str) -> Option<i64> {
    let (year, rest) = text.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
    // A day that the calendar does not have comes back as another.
    Some(days(year, month, day)).filter(|days| civil(*days) == (year, month, day))
}

/// Ticks since 1970, as many a second as digits after it can tell apart, of `2023-02-27`, `2023-02-27 15:40:12` or
/// `2023-02-27T15:40:12.223Z`. Further digits are cut off, as ClickHouse does.
pub fn parse_date_time(text: &str, digits: u8) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, "00:00:00"));
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let (hours, rest) = time.split_once(':')?;
    let (minutes, seconds) = rest.split_once(':')?;
    let (hours, minutes, seconds) = (number(hours, 2)?, number(minutes, 2)?, number(seconds, 2)?);
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let nanos = nanoseconds(fraction)?;
    let seconds = parse_date(date)? * 86_400 + hours * 3600 + minutes * 60 + seconds;
    seconds.checked_mul(10i64.pow(u32::from(digits)))?.checked_add(nanos / 10i64.pow(9 - u32::from(digits)))
}

/// Of the digits after a point.
fn nanoseconds(fraction: &str) -> Option<i64> {
    let read = fraction.get(..9).unwrap_or(fraction);
    let is_digits = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if is_digits { Some(number(read, read.len())? * 10i64.pow(9 - read.len() as u32)) } else { None }
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// The inverse of [`civil`].
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_utc() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(-25_567), "1900-01-01");
        assert_eq!(date(120_529), "2299-12-31");
        assert_eq!(date(19_782), "2024-02-29");
        assert_eq!(date_time(1_677_512_412), "2023-02-27 15:40:12");
        assert_eq!(date_time_64(1_677_512_412_223, 3), "2023-02-27 15:40:12.223");
        assert_eq!(date_time_64(-1, 3), "1969-12-31 23:59:59.999");
    }
    #[test]
    fn reads_what_it_prints_and_what_javascript_prints() {
        for day in [0, -25_567, 120_529, 19_782, 11_016, 47_540] {
            assert_eq!(parse_date(&date(day)), Some(day));
        }
        assert_eq!(parse_date_time("2023-02-27 15:40:12", 0), Some(1_677_512_412));
        assert_eq!(parse_date_time("2023-02-27T15:40:12.223Z", 3), Some(1_677_512_412_223));
        assert_eq!(parse_date_time("2023-02-27T15:40:12.223Z", 0), Some(1_677_512_412));
        assert_eq!(parse_date_time("2023-02-27 15:40:12.2", 6), Some(1_677_512_412_200_000));
        assert_eq!(parse_date_time("1969-12-31 23:59:59.9999999999", 3), Some(-1));
        assert_eq!(parse_date_time("2023-02-27", 3), Some(1_677_456_000_000));
    }

    #[test]
    fn refuses_what_no_calendar_has() {
        for text in ["2023-02-29", "2023-13-01", "2023-00-10", "2023-2-1", "20230201", "+023-02-01", "", "2023-02-01x"]
        {
            assert_eq!(parse_date(text), None, "{text}");
        }
        for text in ["2023-02-27 24:00:00", "2023-02-27 15:40", "2023-02-27 15:40:12.", "2023-02-27 15:40:12.x", "ä Z"]
        {
            assert_eq!(parse_date_time(text, 3), None, "{text}");
        }
        assert_eq!(parse_date_time("2299-12-31 00:00:00", 9), None, "more ticks than 64 bits can count");
    }
}
