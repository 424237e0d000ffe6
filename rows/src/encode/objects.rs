//! Objects with a member per field: rows and named tuples, in whatever order their keys come.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::values::{Value, put_default};
use crate::layout::Layout;
use crate::types::Type;

/// What the members of an object become, in this order.
pub(super) trait Fields {
    fn len(&self) -> usize;
    fn name(&self, field: usize) -> Option<&str>;
    fn kind(&self, field: usize) -> &Type;
    fn find(&self, name: &str) -> Option<usize>;
}

impl Fields for Layout {
    fn len(&self) -> usize {
        self.columns().len()
    }

    fn name(&self, field: usize) -> Option<&str> {
        self.columns().get(field).map(|column| column.name.as_str())
    }

    fn kind(&self, field: usize) -> &Type {
        &self.columns()[field].kind
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.position(name)
    }
}

impl Fields for [(Option<String>, Type)] {
    fn len(&self) -> usize {
        self.len()
    }

    fn name(&self, field: usize) -> Option<&str> {
        self.get(field)?.0.as_deref()
    }

    fn kind(&self, field: usize) -> &Type {
        &self[field].1
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.iter().position(|(have, _)| have.as_deref() == Some(name))
    }
}

/// Writes the members of an object, or of an array in the order of the fields where that is allowed.
pub(super) struct Members<'a, F: ?Sized, K> {
    pub fields: &'a F,
    pub row: &'a mut Vec<u8>,
    /// Sees each key before its value.
    pub on_key: K,
}

impl<'de, F: Fields + ?Sized, K: FnMut(&str)> DeserializeSeed<'de> for Members<'_, F, K> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de, F: Fields + ?Sized, K: FnMut(&str)> Visitor<'de> for Members<'_, F, K> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object or array of {} values", self.fields.len())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        let mut order = Order { start: self.row.len(), spans: Vec::with_capacity(self.fields.len()), broken: false };
        loop {
            let key = Key { fields: self.fields, expected: order.spans.len(), on_key: &mut self.on_key };
            let Some(field) = members.next_key_seed(key)? else { break };
            order.begin(field, self.fields, self.row).map_err(A::Error::custom)?;
            members.next_value_seed(Value { kind: self.fields.kind(field), row: self.row })?;
            order.spans[field].end = self.row.len();
        }
        order.finish(self.fields, self.row).map_err(A::Error::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        for field in 0..self.fields.len() {
            let value = Value { kind: self.fields.kind(field), row: self.row };
            elements.next_element_seed(value)?.ok_or_else(|| A::Error::invalid_length(field, &self))?;
        }
        match elements.next_element::<serde::de::IgnoredAny>()? {
            None => Ok(()),
            Some(_) => Err(A::Error::invalid_length(self.fields.len() + 1, &self)),
        }
    }
}

/// Where the values of the fields are that came so far.
struct Order {
    start: usize,
    /// Of the fields up to the last that came.
    spans: Vec<Span>,
    /// A value came behind those of later fields.
    broken: bool,
}

#[derive(Clone, Copy)]
struct Span {
    begin: usize,
    end: usize,
    /// Not there for want of a key.
    given: bool,
}

impl Order {
    fn begin(&mut self, field: usize, fields: &(impl Fields + ?Sized), row: &mut Vec<u8>) -> Result<(), String> {
        if self.spans.get(field).is_some_and(|span| span.given) {
            return Err("comes twice".into());
        }
        self.fill(field, fields, row)?;
        let span = Span { begin: row.len(), end: row.len(), given: true };
        match self.spans.get_mut(field) {
            None => self.spans.push(span),
            Some(default) => {
                *default = span;
                self.broken = true;
            }
        }
        Ok(())
    }

    /// Writes defaults for the fields before this one that did not come.
    fn fill(&mut self, before: usize, fields: &(impl Fields + ?Sized), row: &mut Vec<u8>) -> Result<(), String> {
        for field in self.spans.len()..before {
            let begin = row.len();
            put_default(fields.kind(field), self.start, row)?;
            self.spans.push(Span { begin, end: row.len(), given: false });
        }
        Ok(())
    }

    fn finish(mut self, fields: &(impl Fields + ?Sized), row: &mut Vec<u8>) -> Result<(), String> {
        self.fill(fields.len(), fields, row)?;
        if self.broken {
            let ordered: Vec<u8> = self.spans.iter().flat_map(|span| &row[span.begin..span.end]).copied().collect();
            row.truncate(self.start);
            row.extend_from_slice(&ordered);
        }
        Ok(())
    }
}

/// The field that a key names: usually the one after the last.
struct Key<'a, F: ?Sized, K> {
    fields: &'a F,
    expected: usize,
    on_key: &'a mut K,
}

impl<'de, F: Fields + ?Sized, K: FnMut(&str)> DeserializeSeed<'de> for Key<'_, F, K> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<usize, D::Error> {
        json.deserialize_str(self)
    }
}

impl<F: Fields + ?Sized, K: FnMut(&str)> Visitor<'_> for Key<'_, F, K> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<usize, E> {
        (self.on_key)(name);
        if self.fields.name(self.expected) == Some(name) {
            return Ok(self.expected);
        }
        self.fields.find(name).ok_or_else(|| E::custom(format!("there is no {name:?}")))
    }
}
