//! Which messages a pipeline reads at all, by their headers: decided before anything of a message is copied or parsed.

/// Takes a message when every rule does.
#[derive(Clone, Debug, PartialEq)]
pub struct Select(Vec<Rule>);

/// A header and the values it may have.
#[derive(Clone, Debug, PartialEq)]
struct Rule {
    header: String,
    values: Vec<Vec<u8>>,
}

impl Select {
    /// By header: the values of which it must have one.
    pub fn new(headers: impl IntoIterator<Item = (String, Vec<String>)>) -> Self {
        let rule = |(header, values): (String, Vec<String>)| Rule {
            header,
            values: values.into_iter().map(String::into_bytes).collect(),
        };
        Self(headers.into_iter().map(rule).collect())
    }

    /// As the reference's `KafkaHeaderSelectFilter`: the first header of the name decides, and a message without it is
    /// not taken.
    pub fn takes(&self, headers: &[(&str, &[u8])]) -> bool {
        self.0.iter().all(|rule| {
            let first = headers.iter().find(|(name, _)| *name == rule.header);
            first.is_some_and(|(_, value)| rule.values.iter().any(|wanted| wanted == value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(headers: &[(&str, &[&str])]) -> Select {
        Select::new(headers.iter().map(|(name, values)| {
            let values = values.iter().map(|value| (*value).to_owned());
            ((*name).to_owned(), values.collect())
        }))
    }

    #[test]
    fn the_header_must_have_one_of_the_values() {
        let select = select(&[("metric_type", &["c", "s"])]);
        assert!(select.takes(&[("other", b"x"), ("metric_type", b"s")]));
        assert!(!select.takes(&[("metric_type", b"d")]));
        assert!(!select.takes(&[("metric_type", b"")]));
        assert!(!select.takes(&[("metric_type", b"\xff")]));
        assert!(!select.takes(&[("Metric_Type", b"c")]), "names are compared as they are");
        assert!(!select.takes(&[]), "a message without the header is not taken");
    }

    #[test]
    fn the_first_header_of_a_name_decides() {
        let select = select(&[("metric_type", &["c"])]);
        assert!(select.takes(&[("metric_type", b"c"), ("metric_type", b"d")]));
        assert!(!select.takes(&[("metric_type", b"d"), ("metric_type", b"c")]));
    }

    #[test]
    fn every_rule_must_hold() {
        let select = select(&[("metric_type", &["c"]), ("namespace", &["spans"])]);
        assert!(select.takes(&[("namespace", b"spans"), ("metric_type", b"c")]));
        assert!(!select.takes(&[("namespace", b"custom"), ("metric_type", b"c")]));
    }
}
