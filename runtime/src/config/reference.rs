//! Secrets by reference, and properties, which may be one.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, EnumAccess, Error, VariantAccess, Visitor};

use super::Text;
use super::scalar::fill_in;
use crate::secret::Secret;

/// `{env: NAME}` or `{file: PATH}`; a relative path starts at the configuration file.
#[derive(Clone, Debug)]
pub struct Reference {
    place: Place,
    value: Option<Secret>,
}

/// A property of librdkafka.
#[derive(Clone, Debug)]
pub enum Property {
    Literal(Text),
    Secret(Reference),
}

#[derive(Clone, Debug)]
enum Place {
    Env(String),
    File(PathBuf),
}

impl Reference {
    /// The secret, once it is read; before that, nothing.
    pub fn value(&self) -> Secret {
        self.value.clone().unwrap_or_default()
    }

    pub(super) fn is_read_and_empty(&self) -> bool {
        self.value.as_ref().is_some_and(|value| value.expose().is_empty())
    }

    /// # Errors
    /// What is missing, and the way out.
    pub(super) fn read(&mut self, folder: &Path) -> Result<(), (String, &'static str)> {
        let value = match &self.place {
            Place::Env(name) => std::env::var(name)
                .map_err(|_| (format!("the secret's variable {name:?} is not set"), "set it where tidegate runs")),
            Place::File(path) => std::fs::read_to_string(folder.join(path)).map_err(|error| {
                (format!("the secret's file {:?} cannot be read: {error}", folder.join(path)), "put it there")
            }),
        };
        self.value = Some(Secret::new(value?.trim_end_matches(['\r', '\n'])));
        Ok(())
    }
}

impl Property {
    /// The value, which may be a secret.
    pub fn value(&self) -> Secret {
        match self {
            Property::Literal(text) => Secret::new(text.as_str()),
            Property::Secret(reference) => reference.value(),
        }
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Property::deserialize(deserializer)? {
            Property::Secret(reference) => Ok(reference),
            Property::Literal(_) => Err(D::Error::custom(
                "a secret is written here; take it out of the file and refer to it: {env: NAME} or {file: PATH}",
            )),
        }
    }
}

/// A map with one key and a scalar both look like a variant of an enum; of a scalar, that is its text as written.
impl<'de> Deserialize<'de> for Property {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_enum("Property", &["env", "file"], PropertyVisitor)
    }
}

struct PropertyVisitor;

impl<'de> Visitor<'de> for PropertyVisitor {
    type Value = Property;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, {env: NAME} or {file: PATH}")
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Property, A::Error> {
        let (name, inner): (String, _) = access.variant()?;
        let place = match name.as_str() {
            "env" => Place::Env(inner.newtype_variant::<Text>()?.0),
            "file" => Place::File(inner.newtype_variant::<Text>()?.0.into()),
            _ => {
                inner.unit_variant().map_err(|_| {
                    A::Error::custom(format!(
                        "a secret is not found by {name:?}; write {{env: NAME}} or {{file: PATH}}"
                    ))
                })?;
                let text = fill_in(&name, |name| std::env::var(name).ok()).map_err(A::Error::custom)?;
                return Ok(Property::Literal(Text(text)));
            }
        };
        Ok(Property::Secret(Reference { place, value: None }))
    }
}
