//! Error events: topic `events`, table `errors`. README.md says where it differs from the reference.

mod contexts;
mod event;
mod exception;
mod row;

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, SeqAccess, Visitor};
use shared::{epoch, errors_table, payload};
use tidegate_processor::{Manifest, Message, Outcome, Processor, Rejection, Rows, Wants, export};

use event::Event;

/// The processor.
#[derive(Debug)]
pub struct Errors {
    config: Config,
}

/// Its settings.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Projects whose events are stored without stacks and frames.
    pub project_stacktrace_blacklist: Vec<u64>,
}

/// A message of the event stream.
enum StreamMessage<'a> {
    /// `[2, "insert", event, state]`
    Insert(Box<Event<'a>>),
    /// `[2, type, {project_id, …}]` of any other type.
    Replacement { project_id: u64 },
}

#[derive(serde::Deserialize)]
struct Project {
    project_id: u64,
}

impl Processor for Errors {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("errors", env!("CARGO_PKG_VERSION"))
            .output("errors", errors_table::COLUMNS)
            .wants(Wants::OFFSETS | Wants::TIMESTAMPS)
    }

    fn new(config: Config, _topics: &[String]) -> Result<Self, String> {
        Ok(Self { config })
    }

    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
        match payload::json(message)? {
            StreamMessage::Replacement { project_id } => {
                let (key, value) = (project_id.to_string().into_bytes(), message.payload()?.to_vec());
                Ok(Outcome::Replacement { key, value })
            }
            StreamMessage::Insert(mut event) => {
                if event.data.kind.is("transaction") {
                    return Err(Rejection::new("a transaction in the topic of errors"));
                }
                if self.config.project_stacktrace_blacklist.contains(&event.project_id) {
                    event.data.exception.values.clear();
                }
                epoch::received(rows, event.data.received);
                row::write(&mut event, message, rows)?;
                Ok(Outcome::Rows)
            }
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for StreamMessage<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Elements)
    }
}

struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = StreamMessage<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[2, \"insert\", event, state] or [2, type, {project_id, …}]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let version: u64 = elements.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        if version != 2 {
            return Err(A::Error::custom(format_args!("version {version} instead of 2")));
        }
        let kind: std::borrow::Cow<'de, str> =
            elements.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
        let missing = || A::Error::invalid_length(2, &Elements);
        let message = if kind == "insert" {
            let event = elements.next_element()?.ok_or_else(missing)?;
            let state: Option<IgnoredAny> = elements.next_element()?;
            state.ok_or_else(|| A::Error::invalid_length(3, &self))?;
            StreamMessage::Insert(event)
        } else {
            let Project { project_id } = elements.next_element()?.ok_or_else(missing)?;
            StreamMessage::Replacement { project_id }
        };
        match elements.next_element::<IgnoredAny>()? {
            None => Ok(message),
            Some(_) => Err(A::Error::custom(format_args!("too many elements for a message of type {kind:?}"))),
        }
    }
}

export!(Errors);
