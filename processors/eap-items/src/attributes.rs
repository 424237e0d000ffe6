//! Attributes by the columns they go to: text and numbers are spread over 40 maps each by a hash of their keys, so that a
//! query for one key reads one map; the other kinds have a map each.

use tidegate_processor::{Encode, Row};

use crate::item::{AnyValue, ArrayValue, TraceItem, Value};

/// Of how many maps a key is in one.
pub const BUCKETS: u8 = 40;

/// The attributes of an item, each key once.
#[derive(Debug, Default)]
pub struct Attributes<'a> {
    bools: Vec<(&'a str, bool)>,
    ints: Vec<(&'a str, i64)>,
    arrays: Arrays<'a>,
    /// These two in the order of their buckets.
    texts: Vec<Bucketed<'a, &'a str>>,
    floats: Vec<Bucketed<'a, f64>>,
}

/// The elements of arrays, by their type.
#[derive(Debug, Default)]
struct Arrays<'a> {
    texts: Vec<(&'a str, Vec<&'a str>)>,
    ints: Vec<(&'a str, Vec<i64>)>,
    floats: Vec<(&'a str, Vec<f64>)>,
    bools: Vec<(&'a str, Vec<bool>)>,
}

/// A key and its value, written as a pair.
#[derive(Debug)]
struct Bucketed<'a, V> {
    bucket: u8,
    pair: (&'a str, V),
}

impl<V: Encode> Encode for Bucketed<'_, V> {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.pair.encode(out);
    }
}

impl<'a> Attributes<'a> {
    /// Those of the item, and `added` in place of one with its key.
    pub fn of(item: &'a TraceItem, added: (&'a str, &'a Value)) -> Self {
        let mut all = Vec::with_capacity(item.attributes.len() + 1);
        all.extend(item.attributes().chain([added]).map(|(key, value)| (bucket(key), key, value)));
        // Stable, and turned round: of equal keys the last comes first, and the others go.
        all.reverse();
        all.sort_by(|(a, key, _), (b, other, _)| a.cmp(b).then_with(|| key.cmp(other)));
        all.dedup_by(|(_, later, _), (_, first, _)| later == first);
        let mut attributes =
            Self { texts: Vec::with_capacity(all.len()), floats: Vec::with_capacity(all.len()), ..Self::default() };
        all.into_iter().for_each(|(bucket, key, value)| attributes.add(bucket, key, value));
        attributes
    }

    fn add(&mut self, bucket: u8, key: &'a str, value: &'a Value) {
        match value {
            Value::Text(text) => self.texts.push(Bucketed { bucket, pair: (key, text) }),
            Value::Float(float) => self.floats.push(Bucketed { bucket, pair: (key, *float) }),
            Value::Int(int) => {
                self.ints.push((key, *int));
                self.floats.push(Bucketed { bucket, pair: (key, *int as f64) });
            }
            Value::Bool(bool) => self.bools.push((key, *bool)),
            Value::Array(array) => self.arrays.add(key, array),
        }
    }

    /// Writes the columns `attributes_*`.
    pub fn write(&self, row: &mut Row<'_>) {
        row.map(&self.bools).map(&self.ints);
        row.map(&self.arrays.texts).map(&self.arrays.ints).map(&self.arrays.floats).map(&self.arrays.bools);
        maps(row, &self.texts);
        maps(row, &self.floats);
    }
}

impl<'a> Arrays<'a> {
    fn add(&mut self, key: &'a str, array: &'a ArrayValue) {
        self.texts.extend(elements(key, array, |value| match value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        }));
        self.ints.extend(elements(key, array, |value| match value {
            Value::Int(int) => Some(*int),
            _ => None,
        }));
        self.floats.extend(elements(key, array, |value| match value {
            Value::Float(float) => Some(*float),
            _ => None,
        }));
        self.bools.extend(elements(key, array, |value| match value {
            Value::Bool(bool) => Some(*bool),
            _ => None,
        }));
    }
}

/// The elements of one type, if there are any.
fn elements<'a, V>(
    key: &'a str,
    array: &'a ArrayValue,
    of_type: impl Fn(&'a Value) -> Option<V>,
) -> Option<(&'a str, Vec<V>)> {
    let values = array.values.iter().filter_map(|AnyValue { value }| value.as_ref());
    let found: Vec<V> = values.filter_map(of_type).collect();
    (!found.is_empty()).then_some((key, found))
}

/// One map for each bucket.
fn maps<V: Encode>(row: &mut Row<'_>, mut entries: &[Bucketed<'_, V>]) {
    for bucket in 0..BUCKETS {
        let count = entries.iter().take_while(|entry| entry.bucket == bucket).count();
        let (own, others) = entries.split_at(count);
        row.value(own);
        entries = others;
    }
}

/// FNV-1a of 32 bits, modulo the number of buckets: queries find a key the same way.
fn bucket(key: &str) -> u8 {
    let hash = key.bytes().fold(0x811c_9dc5u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash % u32::from(BUCKETS)) as u8
}

#[cfg(test)]
mod tests {
    /// Computed apart from this code; modulo 20 they are the maps of the older table `eap_spans`.
    #[test]
    fn keys_are_in_the_maps_where_queries_look() {
        for (key, bucket) in
            [("sentry.environment", 29), ("sentry.op", 19), ("server_name", 12), ("relay_id", 26), ("num_of_spans", 31)]
        {
            assert_eq!(super::bucket(key), bucket, "{key}");
        }
    }
}
