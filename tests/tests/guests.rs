//! The example processor in C, JavaScript and Python: the same rows, the same reasons, one message lost for one bad
//! message, within the limits that the documentation names.

#![allow(clippy::unwrap_used)]

use serde_json::{Map, Value, json};
use tidegate::message::MessageBatch;
use tidegate::outcome::Processed;
use tidegate::processor::{Engine, Interruption, Isolation, Module};
use tidegate_rows::json;
use tidegate_tests::guests;
use tidegate_tests::processors::{Fixture, Given};

/// As the source cuts a call.
const CALL_BYTES: usize = 256 << 10;

struct Subject {
    name: String,
    module: Module,
    isolation: Isolation,
}

fn subjects() -> impl Iterator<Item = Subject> {
    let engine = Engine::new(Interruption::Epoch).unwrap();
    guests::all().into_iter().map(move |guest| {
        let module = guest.module(&engine);
        let isolation = Given::default().isolation(&module);
        Subject { name: guest.name, module, isolation }
    })
}

impl Subject {
    fn process(&mut self, batch: &MessageBatch) -> Processed {
        let mut parts = self.isolation.process_at(batch, Given::default().now_ms).unwrap();
        assert_eq!(self.isolation.take_failures(), [], "{}", self.name);
        assert_eq!(parts.len(), 1, "there are no rewrites");
        parts.remove(0)
    }

    fn rows(&self, processed: &Processed) -> Vec<Map<String, Value>> {
        let layout = &self.module.layouts()[0];
        let mut start = 0;
        let ends = processed.rows.iter().flat_map(|rows| rows.ends.iter().map(move |end| (rows, *end as usize)));
        ends.map(|(rows, end)| json::row(layout, &rows.data[std::mem::replace(&mut start, end)..end]).unwrap())
            .collect()
    }

    /// What became of one message, as the fixtures say it.
    fn seen(&self, processed: &Processed) -> Value {
        if let Some(letter) = processed.dead_letters.first() {
            return json!({ "outcome": "rejected", "rejection": letter.rejection.detail });
        }
        if processed.progress.counts().skipped > 0 {
            return json!({ "outcome": "skipped" });
        }
        let rows = self.rows(processed).into_iter();
        let rows = rows.map(|row| json!({ "output": self.module.manifest().outputs[0].name, "row": row }));
        json!({ "outcome": "rows", "rows": rows.collect::<Vec<_>>() })
    }
}

fn row_count(processed: &Processed) -> u64 {
    processed.rows.iter().map(|rows| rows.ends.len() as u64).sum()
}

/// A reason may say more than the fixture.
fn is_as_expected(seen: &Value, expected: &Value) -> bool {
    let reason = |value: &Value| value["rejection"].as_str().unwrap_or_default().to_owned();
    let others = |value: &Value| (value["outcome"].clone(), value["rows"].clone());
    others(seen) == others(expected) && reason(seen).contains(&reason(expected))
}

fn fixtures() -> Vec<Fixture> {
    let fixtures = guests::all()[0].fixtures();
    assert!(fixtures.len() > 20, "only {} fixtures were found", fixtures.len());
    fixtures
}

#[test]
fn guests_agree_on_every_fixture() {
    let mut wrong = Vec::new();
    for mut subject in subjects() {
        for fixture in fixtures() {
            let processed = subject.process(&fixture.batch());
            let seen = subject.seen(&processed);
            if !is_as_expected(&seen, &fixture.expected) {
                wrong.push(format!("{}: {}: {seen}", subject.name, fixture.name));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn guests_lose_exactly_the_wrong_messages_of_a_call() {
    let fixtures = fixtures();
    let payloads: Vec<_> = fixtures.iter().map(|fixture| &fixture.payload).collect();
    let with = |outcome: &str| fixtures.iter().filter(|fixture| fixture.expected["outcome"] == outcome).count() as u64;
    let rejected: Vec<i64> =
        (1..).zip(&fixtures).filter(|(_, f)| f.expected["outcome"] == "rejected").map(|(offset, _)| offset).collect();
    let mut bytes: Option<Vec<u8>> = None;
    for mut subject in subjects() {
        let language = subject.name.clone();
        let processed = subject.process(&Given::default().batch(&payloads));
        let skipped = processed.progress.counts().skipped;
        assert_eq!((row_count(&processed), skipped), (with("rows"), with("skipped")), "{language}");
        let lost: Vec<i64> = processed.dead_letters.iter().map(|letter| letter.offset).collect();
        assert_eq!(lost, rejected, "{language}");
        assert_eq!(subject.isolation.take_counted(), [("heartbeats".to_owned(), with("skipped"))], "{language}");
        let row_bytes = processed.rows.into_iter().next().unwrap().data;
        assert_eq!(*bytes.get_or_insert(row_bytes.clone()), row_bytes, "{language}");
    }
}

/// JSON can say half a character, and no row can hold it.
#[test]
fn guests_are_blamed_for_a_row_that_is_none() {
    let fixture = fixtures().into_iter().find(|fixture| fixture.name == "half-a-character").unwrap();
    for mut subject in subjects() {
        let processed = subject.process(&fixture.batch());
        let rejection = processed.dead_letters[0].rejection.to_string();
        let expected = match subject.name.as_str() {
            "page-views-c" => "invalid: not a JSON object",
            _ => "invalid-row: column \"path\", byte ",
        };
        assert!(rejection.starts_with(expected), "{rejection}");
    }
}

/// An interpreter collects its garbage late: the host replaces it before it has used up its memory.
#[test]
fn guests_take_call_after_call_within_the_usual_limits() {
    let view = fixtures().into_iter().find(|fixture| fixture.name == "view").unwrap().payload;
    let batch = Given::default().batch(&vec![&view; CALL_BYTES / view.len()]);
    for mut subject in subjects() {
        let mut after = |calls: usize| {
            for _ in 0..calls {
                assert_eq!(row_count(&subject.process(&batch)), batch.len() as u64);
            }
            subject.isolation.memory_bytes()
        };
        let (settled, later) = (after(10), after(50));
        if subject.name == "page-views-c" {
            assert_eq!(settled, later, "nothing is lost from call to call");
        }
    }
}
