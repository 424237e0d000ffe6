//! Metrics, of sessions and of everything else: what their messages and rows have in common.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use adler2::Adler32;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use tidegate_processor::{DateTime, Rejection, Rows};

use crate::entries::Entries;
use crate::lenient::{Text, float};

/// One metric. Its tags have values of type `T`; where its value is an object, that is an `O`.
#[derive(Debug, serde::Deserialize)]
#[serde(bound = "T: Deserialize<'de>, O: Deserialize<'de>")]
pub struct Metric<'a, T, O> {
    #[serde(borrow)]
    pub use_case_id: Option<Cow<'a, str>>,
    pub org_id: u64,
    pub project_id: u64,
    pub metric_id: u64,
    /// Seconds since 1970.
    timestamp: f64,
    /// Seconds since 1970; 0 if unknown.
    #[serde(default, deserialize_with = "float")]
    sentry_received_timestamp: f64,
    /// Keys are numbers as text, and sorted as text.
    #[serde(borrow)]
    pub tags: Entries<'a, T>,
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub value: Value<'a, O>,
    pub retention_days: u32,
    #[serde(borrow, default)]
    pub aggregation_option: Text<'a>,
    #[serde(default, deserialize_with = "float")]
    sampling_weight: f64,
}

/// The value of a metric; its type says which of these it must be.
#[derive(Debug, PartialEq)]
pub enum Value<'a, O> {
    Number(Number),
    Text(Cow<'a, str>),
    Array(Vec<Number>),
    Object(O),
}

impl<T, O> Metric<'_, T, O> {
    pub fn timestamp(&self) -> DateTime {
        DateTime(self.timestamp as u32)
    }

    /// Tells the host when the metric was received, if that is known.
    pub fn tell_received(&self, rows: &mut Rows) {
        if self.sentry_received_timestamp > 0.0 {
            rows.received((self.sentry_received_timestamp * 1000.0) as i64);
        }
    }

    /// How many times the metric counts: once, or as often as it says, rounded.
    pub fn sampling_weight(&self) -> u64 {
        self.sampling_weight.max(1.0).round() as u64
    }

    /// # Errors
    /// If a key is not a number.
    pub fn tag_keys(&self) -> Result<Vec<u64>, Rejection> {
        let key = |(key, _): &(Cow<'_, str>, T)| key.parse().map_err(|_| format!("the tag {key:?} is not a number"));
        Ok(self.tags.0.iter().map(key).collect::<Result<_, _>>()?)
    }

    /// The same for all metrics that belong together: the Adler-32 of organization, project, metric and tags.
    pub fn timeseries_id<'s, B: AsRef<[u8]>>(&'s self, tag_bytes: impl Fn(&'s T) -> B) -> u32 {
        let mut sum = Adler32::new();
        for id in [self.org_id, self.project_id, self.metric_id] {
            sum.write_slice(&id.to_le_bytes());
        }
        for (key, value) in &self.tags.0 {
            sum.write_slice(key.as_bytes());
            sum.write_slice(tag_bytes(value).as_ref());
        }
        sum.checksum()
    }
}

impl<O> Value<'_, O> {
    /// # Errors
    /// If it is not a number.
    pub fn number(&self) -> Result<f64, Rejection> {
        let Value::Number(number) = self else { return Err("the value is not a number".into()) };
        number.as_f64().ok_or_else(|| "the value is out of range".into())
    }
}

/// Numbers of one kind: `Number::as_u64` or `Number::as_f64` says whether they are.
///
/// # Errors
/// If one is not.
pub fn all<T>(numbers: &[Number], kind: impl Fn(&Number) -> Option<T>) -> Result<Vec<T>, Rejection> {
    let one = |number| kind(number).ok_or_else(|| format!("the value has {number} where it may not"));
    Ok(numbers.iter().map(one).collect::<Result<_, _>>()?)
}

impl<'de: 'a, 'a, O: Deserialize<'de>> Deserialize<'de> for Value<'a, O> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor(PhantomData))
    }
}

struct ValueVisitor<O>(PhantomData<O>);

impl<'de, O: Deserialize<'de>> Visitor<'de> for ValueVisitor<O> {
    type Value = Value<'de, O>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value of a metric")
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number out of range"))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(text.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(text.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut numbers = Vec::new();
        while let Some(number) = elements.next_element()? {
            numbers.push(number);
        }
        Ok(Value::Array(numbers))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
        O::deserialize(MapAccessDeserializer::new(entries)).map(Value::Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric<'a, T: Deserialize<'a>>(tags: &'a str) -> Metric<'a, T, ()> {
        let text = format!(
            r#"{{"org_id": 1, "project_id": 2, "metric_id": 3, "timestamp": 1.9, "tags": {tags}, "type": "c",
                 "value": 1, "retention_days": 90}}"#
        );
        serde_json::from_str(text.leak()).unwrap()
    }

    #[test]
    fn the_timeseries_is_the_one_that_the_reference_computes() {
        let texts = metric::<String>(r#"{"3": "value3", "1": "value1", "2": "value2"}"#);
        assert_eq!(texts.timeseries_id(|value| value), 1_403_651_978);
        let numbers = metric::<u64>(r#"{"3": 3, "2": 2, "1": 1}"#);
        assert_eq!(numbers.timeseries_id(|value| value.to_le_bytes()), 200_474_787);
    }

    #[test]
    fn tags_are_in_the_order_of_their_text() {
        let metric = metric::<u64>(r#"{"9": 1, "10": 2, "9223372036854776010": 3}"#);
        assert_eq!(metric.tag_keys().unwrap(), [10, 9, 9_223_372_036_854_776_010]);
        assert_eq!(metric.timestamp(), DateTime(1));
        let wrong = self::metric::<u64>(r#"{"a": 1}"#);
        assert_eq!(wrong.tag_keys().unwrap_err().to_string(), "the tag \"a\" is not a number");
    }

    #[test]
    fn values_are_numbers_of_their_kind_or_nothing() {
        let numbers: Vec<Number> = serde_json::from_str("[1, 18446744073709551615]").unwrap();
        assert_eq!(all(&numbers, Number::as_u64).unwrap(), [1, u64::MAX]);
        let numbers: Vec<Number> = serde_json::from_str("[1, 2.5]").unwrap();
        assert_eq!(all(&numbers, Number::as_f64).unwrap(), [1.0, 2.5]);
        assert!(all(&numbers, Number::as_u64).unwrap_err().to_string().contains("2.5"));
    }
}
