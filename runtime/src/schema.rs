//! JSON Schema: whether payloads are what their topic promises, found out before the processor sees them.
//! The only home of `jsonschema`.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jsonschema::{PatternOptions, Validator};

use crate::message::{Message, MessageBatch};
use crate::outcome::{DeadLetter, ModuleName, Reason, Rejection};

/// A compiled schema.
#[derive(Debug)]
pub struct Schema(Validator);

/// Why a file is no schema to check by.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("{0}")]
    Read(#[from] std::io::Error),
    #[error("it is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it is no JSON Schema: {0}")]
    Compile(String),
}

/// What a pipeline does with its schema.
#[derive(Debug)]
pub struct Check {
    schema: Schema,
    sample: Sample,
    enforce: bool,
    voice: Mutex<Voice>,
}

/// A batch after the check.
#[derive(Debug)]
pub struct Checked {
    /// What the processor is to see.
    pub batch: MessageBatch,
    /// The messages taken out, in order.
    pub refused: Vec<DeadLetter>,
    /// How many messages were looked at, and how many of these do not follow the schema.
    pub messages: u64,
    pub invalid: u64,
}

/// Which offsets are looked at: the same in every process and in every life.
#[derive(Clone, Copy, Debug)]
struct Sample {
    below: u128,
}

/// One line at a time, with the number of those kept back.
#[derive(Debug, Default)]
struct Voice {
    spoke: Option<Instant>,
    unsaid: u64,
}

const SPEAK_EVERY: Duration = Duration::from_secs(10);
/// A detail is for people and travels in a header.
const DETAIL_BYTES_MAX: usize = 1024;

impl Schema {
    /// References beyond the file are not followed, and patterns are those that match in linear time: a message must
    /// not be able to hold the host up.
    ///
    /// # Errors
    /// See [`SchemaError`].
    pub fn read(path: &Path) -> Result<Self, SchemaError> {
        Self::compile(&serde_json::from_slice(&std::fs::read(path)?)?)
    }

    fn compile(schema: &serde_json::Value) -> Result<Self, SchemaError> {
        let options = jsonschema::options().offline().with_pattern_options(PatternOptions::regex());
        options.build(schema).map(Self).map_err(|error| SchemaError::Compile(placed(&error, error.to_string())))
    }

    /// What is wrong with a payload, and where; without its values, which may be somebody's.
    fn breach(&self, payload: Option<&[u8]>) -> Option<String> {
        let Some(payload) = payload else { return Some("the payload is null".into()) };
        match serde_json::from_slice(payload) {
            Ok(value) => self.0.validate(&value).err().map(|error| placed(&error, error.masked().to_string())),
            Err(error) => Some(format!("not JSON: {error}")),
        }
    }
}

fn placed(error: &jsonschema::ValidationError<'_>, mut text: String) -> String {
    text.truncate(text.floor_char_boundary(DETAIL_BYTES_MAX));
    match error.instance_path().as_str() {
        "" => text,
        path => format!("{path}: {text}"),
    }
}

impl Check {
    /// `sample` is the share of the messages to be looked at. Only what is looked at can be refused by `enforce`.
    pub fn new(schema: Schema, sample: f64, enforce: bool) -> Self {
        Self { schema, sample: Sample::of(sample), enforce, voice: Mutex::default() }
    }

    /// Looks at the messages of the sample and, where the schema is enforced, takes out those that do not follow it.
    pub fn check(&self, batch: MessageBatch, module: &Arc<ModuleName>) -> Checked {
        let (mut indexes, mut checked) = (Vec::new(), Checked::unseen(MessageBatch::default()));
        for (index, message) in batch.iter().enumerate().filter(|(_, message)| self.sample.has(message.offset)) {
            checked.messages += 1;
            let Some(detail) = self.schema.breach(message.payload) else { continue };
            checked.invalid += 1;
            self.tell(&message, &detail);
            if self.enforce {
                indexes.push(index);
                let rejection = Rejection::new(Reason::Schema, detail);
                checked.refused.push(DeadLetter::of(&message, rejection, module.clone()));
            }
        }
        checked.batch = if indexes.is_empty() { batch } else { batch.without(&indexes) };
        checked
    }

    fn tell(&self, message: &Message<'_>, detail: &str) {
        let mut voice = self.voice.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(unsaid) = voice.may_speak(Instant::now()) else { return };
        let (partition, offset) = (message.partition, message.offset);
        tracing::warn!(%partition, offset, detail, unsaid, "a message does not follow its schema");
    }
}

impl Checked {
    /// A batch that nobody looks at.
    pub fn unseen(batch: MessageBatch) -> Self {
        Self { batch, refused: Vec::new(), messages: 0, invalid: 0 }
    }
}

impl Sample {
    fn of(share: f64) -> Self {
        Self { below: (share * 2f64.powi(64)) as u128 }
    }

    /// Multiples of the golden ratio spread evenly, and do not fall in step with what a producer repeats.
    fn has(self, offset: i64) -> bool {
        u128::from((offset as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)) < self.below
    }
}

impl Voice {
    /// How many were kept back since the last one, if this one may be said.
    fn may_speak(&mut self, now: Instant) -> Option<u64> {
        if self.spoke.is_some_and(|spoke| now.duration_since(spoke) < SPEAK_EVERY) {
            self.unsaid += 1;
            return None;
        }
        self.spoke = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::digest::Digest;
    use crate::message::Parts;
    use crate::offset::{Assignment, Partition};

    fn schema() -> Schema {
        Schema::compile(&json!({
            "type": "object",
            "required": ["id"],
            "properties": { "id": { "type": "integer" }, "name": { "type": "string", "pattern": "^[a-z]+$" } }
        }))
        .unwrap()
    }

    fn batch(payloads: &[&str]) -> MessageBatch {
        let mut batch = MessageBatch::default();
        batch.begin_run(Partition::new("events", 0), Assignment(1), 5);
        for (index, payload) in payloads.iter().enumerate() {
            let payload = Some(payload.as_bytes());
            batch.push(Parts { offset: 5 + index as i64, timestamp_ms: index as i64, payload, ..Parts::default() });
        }
        batch
    }

    fn module() -> Arc<ModuleName> {
        Arc::new(ModuleName { name: "m".into(), version: "1".into(), digest: Digest::of(b"") })
    }

    #[test]
    fn a_breach_says_what_and_where_and_no_values() {
        let schema = schema();
        let breach = |text: &str| schema.breach(Some(text.as_bytes()));
        assert_eq!(breach(r#"{"id": 1, "name": "abc", "more": true}"#), None);
        assert_eq!(breach("{}").as_deref(), Some("\"id\" is a required property"));
        assert_eq!(breach(r#"{"id": "private"}"#).as_deref(), Some("/id: value is not of type \"integer\""));
        assert!(breach("{").unwrap().starts_with("not JSON: "));
        assert_eq!(schema.breach(None).as_deref(), Some("the payload is null"));
    }

    #[test]
    fn what_would_need_the_network_or_endless_time_is_refused() {
        let error = |schema| Schema::compile(&schema).unwrap_err().to_string();
        let beyond = error(json!({ "$ref": "https://example.com/other.json" }));
        assert!(beyond.starts_with("it is no JSON Schema: ") && beyond.contains("example.com"), "{beyond}");
        let file = error(json!({ "$ref": "file:///etc/hostname" }));
        assert!(file.contains("file:///etc/hostname"), "{file}");
        assert!(error(json!({ "pattern": "^(?!a)" })).starts_with("it is no JSON Schema: "));
        assert!(error(json!({ "type": "strin" })).starts_with("it is no JSON Schema: "));
    }

    #[test]
    fn a_schema_that_runs_in_circles_comes_to_an_end() {
        let circle =
            json!({ "$ref": "#/$defs/a", "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } } });
        for circle in
            [json!({ "$ref": "#" }), json!({ "allOf": [{ "$ref": "#" }] }), json!({ "not": { "$ref": "#" } }), circle]
        {
            Schema::compile(&circle).unwrap().breach(Some(b"{}"));
        }
    }

    #[test]
    fn enforced_it_takes_out_exactly_what_does_not_follow() {
        let check = Check::new(schema(), 1.0, true);
        let checked = check.check(batch(&["{}", r#"{"id": 1}"#, "x", r#"{"id": 2}"#, "[]"]), &module());
        assert_eq!((checked.messages, checked.invalid), (5, 3));
        let refused: Vec<_> = checked.refused.iter().map(|letter| letter.offset).collect();
        assert_eq!(refused, [5, 7, 9]);
        assert!(checked.refused.iter().all(|letter| letter.rejection.reason == Reason::Schema));
        assert_eq!(checked.refused[1].payload.as_deref(), Some(&b"x"[..]));
        let left: Vec<_> = checked.batch.iter().map(|message| message.offset).collect();
        assert_eq!(left, [6, 8]);
        let progress = checked.batch.progress();
        let covered = progress.get(&Partition::new("events", 0)).unwrap();
        assert_eq!((covered.range.start, covered.range.end, covered.last_timestamp_ms), (5, 10, Some(4)));
        assert_eq!((covered.counts.messages, covered.counts.dead_letters), (5, 3));
    }

    #[test]
    fn not_enforced_it_only_counts() {
        let check = Check::new(schema(), 1.0, false);
        let checked = check.check(batch(&["{}", r#"{"id": 1}"#]), &module());
        assert_eq!((checked.messages, checked.invalid), (2, 1));
        assert_eq!((checked.batch.len(), checked.refused.len()), (2, 0));
    }

    #[test]
    fn a_sample_is_its_share_and_always_the_same() {
        let taken = |share: f64, from: i64| (from..from + 10_000).filter(|at| Sample::of(share).has(*at)).count();
        assert_eq!((taken(0.0, 0), taken(1.0, 0)), (0, 10_000));
        for from in [0, 7, 1_000_000_007] {
            assert!((990..=1010).contains(&taken(0.1, from)), "{} of 10000", taken(0.1, from));
        }
        let every_tenth = (0..100_000).step_by(10).filter(|at| Sample::of(0.1).has(*at)).count();
        assert!((900..=1100).contains(&every_tenth), "{every_tenth} of 10000 in step with a producer");
    }

    #[test]
    fn it_speaks_once_in_a_while_and_says_how_much_it_kept_back() {
        let (mut voice, start) = (Voice::default(), Instant::now());
        assert_eq!(voice.may_speak(start), Some(0));
        assert_eq!(voice.may_speak(start + SPEAK_EVERY / 2), None);
        assert_eq!(voice.may_speak(start + SPEAK_EVERY / 2), None);
        assert_eq!(voice.may_speak(start + SPEAK_EVERY), Some(2));
    }
}
