//! Messages as nobody means to send them: cut off, with surprises in place of values, with flipped bits, and made up.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

/// Calls `each` with the message, then with every variant of it: cut off at every 97th byte, and each value in turn
/// replaced by null, a number, a text, an array and an object. What is no JSON is cut off at every byte, and each of
/// its bits is flipped.
pub fn variants(message: &[u8], mut each: impl FnMut(Vec<u8>)) {
    each(message.to_vec());
    match serde_json::from_slice(message) {
        Ok(value) => {
            cut_off(message, 97, &mut each);
            surprises(value, &mut each);
        }
        Err(_) => {
            cut_off(message, 1, &mut each);
            flipped(message, &mut each);
        }
    }
}

fn cut_off(message: &[u8], step: usize, each: &mut impl FnMut(Vec<u8>)) {
    (0..message.len()).step_by(step).for_each(|len| each(message[..len].to_vec()));
}

fn flipped(message: &[u8], each: &mut impl FnMut(Vec<u8>)) {
    for bit in 0..message.len() * 8 {
        let mut other = message.to_vec();
        other[bit / 8] ^= 1 << (bit % 8);
        each(other);
    }
}

fn surprises(mut message: Value, each: &mut impl FnMut(Vec<u8>)) {
    for place in places(&message) {
        for surprise in [json!(null), json!(-1), json!("surprise"), json!([{}]), json!({"surprise": []})] {
            let before = put(&mut message, &place, surprise);
            each(message.to_string().into_bytes());
            put(&mut message, &place, before);
        }
    }
}

fn put(message: &mut Value, place: &str, value: Value) -> Value {
    std::mem::replace(message.pointer_mut(place).expect("the place is one of this message"), value)
}

/// JSON pointers to every value, to the message itself first.
fn places(message: &Value) -> Vec<String> {
    let mut places = vec![String::new()];
    let inner: Vec<(String, &Value)> = match message {
        Value::Array(elements) => elements.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        _ => Vec::new(),
    };
    for (step, value) in inner {
        places.extend(places_below(&step, value));
    }
    places
}

fn places_below(step: &str, value: &Value) -> impl Iterator<Item = String> {
    places(value).into_iter().map(move |place| format!("/{step}{place}"))
}

/// Messages made of the words of these: whole trees, and the messages themselves with other values, more members and
/// fewer. Of messages that are no JSON, a few bytes are others.
pub fn made_up(messages: &[Vec<u8>]) -> BoxedStrategy<Vec<u8>> {
    let json: Vec<Value> = messages.iter().filter_map(|message| serde_json::from_slice(message).ok()).collect();
    if json.is_empty() {
        return other_bytes(messages.to_vec()).boxed();
    }
    let (mut keys, mut leaves) = (BTreeSet::new(), Vec::new());
    json.iter().for_each(|message| harvest(message, &mut keys, &mut leaves));
    let (mut texts, mut numbers): (Vec<_>, Vec<_>) = leaves.into_iter().partition(Value::is_string);
    texts.extend(odd_texts());
    numbers.extend(odd_numbers());
    let text = prop_oneof![select(texts), any::<String>().prop_map(Value::from)];
    let number = prop_oneof![select(numbers), any::<i64>().prop_map(Value::from), any::<f64>().prop_map(Value::from)];
    let tree = tree(keys.iter().cloned().collect(), prop_oneof![text.clone(), number.clone()].boxed());
    let key = select(keys.into_iter().collect::<Vec<_>>());
    let edit = prop_oneof![
        4 => (text, number).prop_map(|(text, number)| Edit::Leaf { text, number }),
        1 => tree.clone().prop_map(Edit::Replace),
        1 => (key, tree.clone()).prop_map(|(key, value)| Edit::Add(key, value)),
        1 => any::<Index>().prop_map(Edit::Remove),
    ];
    let edits = prop::collection::vec((any::<Index>(), edit), 1..5);
    let edited = (select(json), edits).prop_map(|(mut message, edits)| {
        edits.into_iter().for_each(|(at, edit)| edit.make(&mut message, at));
        message
    });
    prop_oneof![1 => tree, 6 => edited].prop_map(|message| rendered(&message)).boxed()
}

fn other_bytes(messages: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let others = prop::collection::vec((any::<Index>(), any::<u8>()), 1..8);
    (select(messages), others).prop_map(|(mut message, others)| {
        for (at, byte) in others {
            let at = at.index(message.len());
            message[at] = byte;
        }
        message
    })
}

/// Every key, and every value that holds no others.
fn harvest(message: &Value, keys: &mut BTreeSet<String>, leaves: &mut Vec<Value>) {
    match message {
        Value::Array(elements) => elements.iter().for_each(|element| harvest(element, keys, leaves)),
        Value::Object(members) => members.iter().for_each(|(key, value)| {
            keys.insert(key.clone());
            harvest(value, keys, leaves);
        }),
        leaf => leaves.push(leaf.clone()),
    }
}

fn tree(keys: Vec<String>, leaf: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let inner = leaf.prop_recursive(4, 24, 5, move |inner| {
        let member = (select(keys.clone()), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(Value::from),
            prop::collection::vec(member, 0..5).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    inner.boxed()
}

/// Texts where processors look for times, ids and addresses, and what is no valid text.
fn odd_texts() -> Vec<Value> {
    let raw = (0..RAW.len()).map(mark);
    ODD_TEXTS.iter().map(|text| (*text).to_owned()).chain(raw).chain(["ß".repeat(300)]).map(Value::from).collect()
}

/// The ends of integer types and of what a number may be, and what else holds no other values.
fn odd_numbers() -> Vec<Value> {
    serde_json::from_str(ODD_NUMBERS).expect("the numbers are JSON")
}

/// A change of a message at some place of it.
#[derive(Clone, Debug)]
enum Edit {
    /// Another text for a text, another number for anything else that holds no others: messages stay valid for longer.
    Leaf {
        text: Value,
        number: Value,
    },
    Replace(Value),
    /// One more member or element.
    Add(String, Value),
    Remove(Index),
}

impl Edit {
    fn make(self, message: &mut Value, at: Index) {
        let place = at.get(&places(message)).clone();
        let Some(there) = message.pointer_mut(&place) else { return };
        match (self, there) {
            (Edit::Replace(value), there) => *there = value,
            (Edit::Leaf { text, .. }, Value::String(there)) => *there = text.as_str().unwrap_or_default().to_owned(),
            (Edit::Add(key, value), Value::Object(members)) => drop(members.insert(key, value)),
            (Edit::Add(_, value), Value::Array(elements)) => elements.push(value),
            (Edit::Remove(which), Value::Object(members)) if !members.is_empty() => {
                let key = members.keys().nth(which.index(members.len())).cloned().unwrap_or_default();
                members.remove(&key);
            }
            (Edit::Remove(which), Value::Array(elements)) if !elements.is_empty() => {
                elements.remove(which.index(elements.len()));
            }
            (Edit::Leaf { number, .. }, there) if !there.is_array() && !there.is_object() => *there = number,
            _ => {}
        }
    }
}

fn rendered(message: &Value) -> Vec<u8> {
    let text = RAW.iter().enumerate().fold(message.to_string(), |text, (at, raw)| {
        let quoted = format!("\"{}\"", mark(at));
        if text.contains(&quoted) { text.replace(&quoted, &raw()) } else { text }
    });
    text.into_bytes()
}

/// Stands for the text of [`RAW`].
fn mark(at: usize) -> String {
    format!("raw text {at}")
}

const ODD_TEXTS: [&str; 17] = [
    "",
    " ",
    "null",
    "NaN",
    "-1",
    "1e400",
    "\u{0}",
    "\u{feff}",
    "true",
    "1969-12-31T23:59:59Z",
    "9999-12-31T23:59:59.999999999Z",
    "0000-00-00T00:00:00Z",
    "2024-02-30",
    "00000000000000000000000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "::ffff:1.2.3.4",
    "999.1.1.1",
];

const ODD_NUMBERS: &str = "[null, true, false, 0, -1, 0.5, -0.0, 255, 256, 65536, -2147483648, 4294967295, 4294967296, \
    9007199254740992, -9223372036854775808, 9223372036854775807, 18446744073709551615, 1e12, 1e19, -1e19, 1e300, 5e-324]";

/// What no [`Value`] can be made to print; some of it is no JSON.
const RAW: [fn() -> String; 6] = [
    || "1e400".into(),
    || "-123456789012345678901234567890".into(),
    || "\"\\ud800\"".into(),
    || "{\"twice\": 1, \"twice\": 2}".into(),
    || format!("{}{}", "[".repeat(120), "]".repeat(120)),
    || format!("{}1{}", "{\"a\":".repeat(500), "}".repeat(500)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_surprised_and_the_message_is_left_as_it_was() {
        let mut seen = Vec::new();
        variants(br#"{"a/b":[1]}"#, |message| seen.push(String::from_utf8_lossy(&message).into_owned()));
        assert_eq!(seen.len(), 1 + 1 + 3 * 5);
        assert_eq!(seen[..4], [r#"{"a/b":[1]}"#, "", "null", "-1"]);
        assert_eq!(seen.last().map(String::as_str), Some(r#"{"a/b":[{"surprise":[]}]}"#));
    }

    #[test]
    fn what_is_no_json_is_cut_and_flipped() {
        let mut seen = BTreeSet::new();
        variants(&[0xff, 0], |message| assert!(seen.insert(message)));
        assert_eq!(seen.len(), 1 + 2 + 16);
    }
}
