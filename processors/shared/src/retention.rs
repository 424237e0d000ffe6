//! How long events are kept.

/// None: 90 days. Other than 30, 60 or 90: 30 if it is less than that, otherwise 90.
pub fn days(asked: Option<u32>) -> u16 {
    match asked {
        Some(days @ (30 | 60 | 90)) => days as u16,
        Some(0..=30) => 30,
        _ => 90,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_three_retentions_exist() {
        let cases = [
            (None, 90),
            (Some(0), 30),
            (Some(29), 30),
            (Some(30), 30),
            (Some(31), 90),
            (Some(60), 60),
            (Some(999), 90),
        ];
        for (asked, days) in cases {
            assert_eq!(super::days(asked), days, "{asked:?}");
        }
    }
}
