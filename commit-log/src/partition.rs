//! A partition of a topic, as keys of records name it.

use std::fmt;
use std::sync::Arc;

use crate::Key;

/// A partition of a topic. Printed as `events/3`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    pub topic: Arc<str>,
    pub number: i32,
}

impl Partition {
    pub fn new(topic: impl Into<Arc<str>>, number: i32) -> Self {
        Self { topic: topic.into(), number }
    }

    /// The partition that a record is about.
    pub fn of(key: &Key) -> Self {
        Self::new(key.topic.as_str(), key.partition)
    }

    /// What the commit log calls this partition as a group writes it.
    pub fn key(&self, group: &str) -> Key {
        Key { topic: self.topic.to_string(), partition: self.number, group: group.to_owned() }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.number)
    }
}
