//! Reading JSON that does not keep to its schema: a surprise in an optional field costs that field, not the event.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Any JSON as text: strings as they are, numbers and booleans as their JSON text, null as none, arrays and objects as
/// compact JSON with sorted keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<'a>(pub Option<Cow<'a, str>>);

/// A scalar as text, booleans as `True` and `False`; null, arrays and objects as none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scalar<'a>(pub Option<Cow<'a, str>>);

/// A string, or none for anything else.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Str<'a>(pub Option<Cow<'a, str>>);

/// A boolean, or none for anything else.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flag(pub Option<bool>);

/// A whole number that fits, or none for anything else.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Whole(pub Option<u32>);

/// A number, or 0 for anything else.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Float(pub f64);

/// An object read as `T`, or the default for anything else.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object<T>(pub T);

/// An array, or an empty one for anything else.
#[derive(Clone, Debug, PartialEq)]
pub struct List<T>(pub Vec<T>);

/// An array of two values that are both something, or none for anything else.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pair<'a>(pub Option<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Text<'a> {
    pub fn or_empty(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    pub fn is(&self, text: &str) -> bool {
        self.0.as_deref() == Some(text)
    }

    pub fn get(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// A visitor that takes one kind of value and treats all others as nothing.
macro_rules! otherwise_nothing {
    ($($method:ident($kind:ty)),*) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Default::default())
        }

        $(fn $method<E>(self, _: $kind) -> Result<Self::Value, E> {
            Ok(Default::default())
        })*
    };
}

macro_rules! no_array {
    ($de:lifetime) => {
        fn visit_seq<A: SeqAccess<$de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
            while elements.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Default::default())
        }
    };
}

macro_rules! no_object {
    ($de:lifetime) => {
        fn visit_map<A: MapAccess<$de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(Default::default())
        }
    };
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    otherwise_nothing!();

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Some(text.into())))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Some(text.to_owned().into())))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Text(Some(if value { "true" } else { "false" }.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Text(Some(value.to_string().into())))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Text(Some(value.to_string().into())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Text(Some(number_text(value).into())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Self::Value, A::Error> {
        Value::deserialize(SeqAccessDeserializer::new(elements)).map(|value| Text(Some(sorted(value).into())))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
        Value::deserialize(MapAccessDeserializer::new(entries)).map(|value| Text(Some(sorted(value).into())))
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    otherwise_nothing!();
    no_array!('de);
    no_object!('de);

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar(Some(text.into())))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar(Some(text.to_owned().into())))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Scalar(Some(if value { "True" } else { "False" }.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Scalar(Some(value.to_string().into())))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Scalar(Some(value.to_string().into())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Scalar(Some(number_text(value).into())))
    }
}

struct StrVisitor;

impl<'de> Visitor<'de> for StrVisitor {
    type Value = Str<'de>;

    otherwise_nothing!(visit_bool(bool), visit_u64(u64), visit_i64(i64), visit_f64(f64));
    no_array!('de);
    no_object!('de);

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Str(Some(text.into())))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Str(Some(text.to_owned().into())))
    }
}

struct FlagVisitor;

impl<'de> Visitor<'de> for FlagVisitor {
    type Value = Flag;

    otherwise_nothing!(visit_u64(u64), visit_i64(i64), visit_f64(f64), visit_str(&str));
    no_array!('de);
    no_object!('de);

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Flag(Some(value)))
    }
}

struct WholeVisitor;

impl<'de> Visitor<'de> for WholeVisitor {
    type Value = Whole;

    otherwise_nothing!(visit_bool(bool), visit_i64(i64), visit_f64(f64), visit_str(&str));
    no_array!('de);
    no_object!('de);

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Whole(value.try_into().ok()))
    }
}

struct FloatVisitor;

impl<'de> Visitor<'de> for FloatVisitor {
    type Value = Float;

    otherwise_nothing!(visit_bool(bool), visit_str(&str));
    no_array!('de);
    no_object!('de);

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Float(value as f64))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Float(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Float(value))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    otherwise_nothing!(visit_bool(bool), visit_u64(u64), visit_i64(i64), visit_f64(f64), visit_str(&str));
    no_array!('de);

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(entries)).map(Object)
    }
}

/// Room that lists have from the start: most need no more, and growing moves all of it.
const USUAL_LEN: usize = 16;

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    otherwise_nothing!(visit_bool(bool), visit_u64(u64), visit_i64(i64), visit_f64(f64), visit_str(&str));
    no_object!('de);

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let Some(first) = elements.next_element()? else { return Ok(List(Vec::new())) };
        let mut list = Vec::with_capacity(USUAL_LEN);
        list.push(first);
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(List(list))
    }
}

struct PairVisitor;

impl<'de> Visitor<'de> for PairVisitor {
    type Value = Pair<'de>;

    otherwise_nothing!(visit_bool(bool), visit_u64(u64), visit_i64(i64), visit_f64(f64), visit_str(&str));
    no_object!('de);

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let first = elements.next_element()?.unwrap_or(Text(None));
        let second = elements.next_element()?.unwrap_or(Text(None));
        let mut more = false;
        while elements.next_element::<IgnoredAny>()?.is_some() {
            more = true;
        }
        Ok(Pair(if more { None } else { first.0.zip(second.0) }))
    }
}

macro_rules! read_any {
    ($($kind:ident$(<$life:lifetime>)?, $visitor:expr;)*) => {
        $(impl<'de $(: $life, $life)?> Deserialize<'de> for $kind$(<$life>)? {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any($visitor)
            }
        })*
    };
}

read_any! {
    Text<'a>, TextVisitor;
    Scalar<'a>, ScalarVisitor;
    Str<'a>, StrVisitor;
    Flag, FlagVisitor;
    Whole, WholeVisitor;
    Float, FloatVisitor;
    Pair<'a>, PairVisitor;
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

/// An object of `T`, or its default for anything else; for `#[serde(deserialize_with)]`.
pub fn object<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Object::deserialize(deserializer).map(|Object(value)| value)
}

/// A number, or 0 for anything else; for `#[serde(deserialize_with)]`.
pub fn float<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Float::deserialize(deserializer).map(|Float(value)| value)
}

/// Reads an object, or takes the default.
pub struct Lenient<T>(PhantomData<T>);

impl<T> Lenient<T> {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<'de, T: Deserialize<'de> + Default> DeserializeSeed<'de> for Lenient<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        object(deserializer)
    }
}

/// As JSON prints it: `100.0`.
fn number_text(value: f64) -> String {
    Value::from(value).to_string()
}

fn sorted(mut value: Value) -> String {
    value.sort_all_objects();
    value.to_string()
}
