//! Days and seconds since 1970 as UTC text, as ClickHouse prints them.

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
}
