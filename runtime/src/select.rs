//! Which messages a pipeline reads at all, by their keys and headers: decided before anything of a message is copied or
//! parsed.

/// Takes a message when every rule does.
#[derive(Clone, Debug, PartialEq)]
pub struct Select(Vec<Rule>);

/// What a message must have.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// A header with one of the values.
    Header { name: String, values: Vec<Vec<u8>> },
    /// One of these keys.
    Key(Vec<Vec<u8>>),
    /// A key that begins with one of these.
    KeyPrefix(Vec<Vec<u8>>),
    /// A number in the header that falls to slice `id` of `of`.
    Slice { header: String, id: u64, of: u64 },
}

/// Into so many the reference divides numbers (organizations) before it gives them to slices.
pub const LOGICAL_PARTITIONS: u64 = 256;

impl Select {
    pub fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// Keys and headers are compared byte by byte; a message without a key has none of the keys.
    pub fn takes(&self, key: Option<&[u8]>, headers: &[(&str, &[u8])]) -> bool {
        self.0.iter().all(|rule| rule.takes(key, headers))
    }
}

impl Rule {
    /// As the reference's `KafkaHeaderSelectFilter`: the first header of the name decides, and a message without it is
    /// not taken.
    fn takes(&self, key: Option<&[u8]>, headers: &[(&str, &[u8])]) -> bool {
        let first = |name: &str| headers.iter().find(|(header, _)| *header == name).map(|(_, value)| *value);
        match self {
            Rule::Header { name, values } => {
                first(name).is_some_and(|value| values.iter().any(|wanted| wanted == value))
            }
            Rule::Key(keys) => key.is_some_and(|key| keys.iter().any(|wanted| wanted == key)),
            Rule::KeyPrefix(prefixes) => key.is_some_and(|key| prefixes.iter().any(|prefix| key.starts_with(prefix))),
            Rule::Slice { header, id, of } => slice(first(header), *of) == *id,
        }
    }
}

/// Logical partitions are dealt to slices in turn. What has no number is of the first: each message is of one slice.
fn slice(number: Option<&[u8]>, of: u64) -> u64 {
    let number = number.and_then(|text| std::str::from_utf8(text).ok()?.parse::<u64>().ok());
    number.unwrap_or(0) % LOGICAL_PARTITIONS % of
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(values: &[&str]) -> Vec<Vec<u8>> {
        values.iter().map(|value| value.as_bytes().to_vec()).collect()
    }

    fn by_headers(headers: &[(&str, &[&str])]) -> Select {
        let rule = |(name, values): &(&str, &[&str])| Rule::Header { name: (*name).into(), values: bytes(values) };
        Select::new(headers.iter().map(rule).collect())
    }

    #[test]
    fn the_header_must_have_one_of_the_values() {
        let select = by_headers(&[("metric_type", &["c", "s"])]);
        assert!(select.takes(None, &[("other", b"x"), ("metric_type", b"s")]));
        assert!(!select.takes(None, &[("metric_type", b"d")]));
        assert!(!select.takes(None, &[("metric_type", b"")]));
        assert!(!select.takes(None, &[("metric_type", b"\xff")]));
        assert!(!select.takes(None, &[("Metric_Type", b"c")]), "names are compared as they are");
        assert!(!select.takes(Some(b"c"), &[]), "a message without the header is not taken");
    }

    #[test]
    fn the_first_header_of_a_name_decides() {
        let select = by_headers(&[("metric_type", &["c"])]);
        assert!(select.takes(None, &[("metric_type", b"c"), ("metric_type", b"d")]));
        assert!(!select.takes(None, &[("metric_type", b"d"), ("metric_type", b"c")]));
    }

    #[test]
    fn every_rule_must_hold() {
        let select = by_headers(&[("metric_type", &["c"]), ("namespace", &["spans"])]);
        assert!(select.takes(None, &[("namespace", b"spans"), ("metric_type", b"c")]));
        assert!(!select.takes(None, &[("namespace", b"custom"), ("metric_type", b"c")]));
        let header = Rule::Header { name: "metric_type".into(), values: bytes(&["c"]) };
        let select = Select::new(vec![header, Rule::Key(bytes(&["k"]))]);
        assert!(select.takes(Some(b"k"), &[("metric_type", b"c")]));
        assert!(!select.takes(Some(b"k"), &[("metric_type", b"d")]));
        assert!(!select.takes(Some(b"l"), &[("metric_type", b"c")]));
    }

    #[test]
    fn the_key_must_be_one_of_the_keys() {
        let select = Select::new(vec![Rule::Key(bytes(&["7", ""]))]);
        assert!(select.takes(Some(b"7"), &[]));
        assert!(!select.takes(Some(b"77"), &[]));
        assert!(select.takes(Some(b""), &[]));
        assert!(!select.takes(None, &[]), "no key is not an empty key");
    }

    #[test]
    fn the_key_must_begin_with_one_of_the_prefixes() {
        let select = Select::new(vec![Rule::KeyPrefix(bytes(&["eu:", "us:"]))]);
        assert!(select.takes(Some(b"us:7"), &[]));
        assert!(select.takes(Some(b"eu:"), &[]));
        assert!(!select.takes(Some(b"eu"), &[]));
        assert!(!select.takes(Some(b"x-eu:7"), &[]));
        assert!(!select.takes(None, &[]));
    }

    #[test]
    fn a_message_is_of_one_slice() {
        let select = |id, of| Select::new(vec![Rule::Slice { header: "org_id".into(), id, of }]);
        let slices_of = |value: Option<&[u8]>, of| -> Vec<u64> {
            let headers: Vec<(&str, &[u8])> = value.map(|value| ("org_id", value)).into_iter().collect();
            (0..of).filter(|id| select(*id, of).takes(None, &headers)).collect()
        };
        for of in [1, 3, 4, LOGICAL_PARTITIONS] {
            for number in [0_u64, 1, 3, 255, 256, 257, 1_000_003, u64::MAX] {
                assert_eq!(slices_of(Some(number.to_string().as_bytes()), of), [number % 256 % of], "{number} of {of}");
            }
            for none in [None, Some(&b""[..]), Some(b"x"), Some(b"-1"), Some(b"\xff"), Some(b"18446744073709551616")] {
                assert_eq!(slices_of(none, of), [0], "{none:?} of {of}");
            }
        }
    }
}
