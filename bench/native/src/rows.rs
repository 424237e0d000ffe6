//! One row, written twice: by derive and by hand. Reading its message costs next to nothing, so that the writing is what is
//! measured.

use tidegate_processor::{DateTime, Manifest, Message, NoConfig, Outcome, Processor, Rejection, Row, Rows, Uuid};

/// Views into the message, and numbers made of its length.
#[derive(Row)]
struct Event<'a> {
    id: u64,
    project_id: u64,
    trace: Uuid,
    at: DateTime,
    #[row(type = "LowCardinality(String)")]
    service: &'a str,
    #[row(type = "LowCardinality(Nullable(String))")]
    release: Option<&'a str>,
    message: &'a str,
    duration: f64,
    retries: Option<u32>,
    sampled: bool,
    groups: &'a [u64],
    #[row(nested)]
    tags: Vec<Tag<'a>>,
}

#[derive(Row)]
struct Tag<'a> {
    key: &'a str,
    value: Option<&'a str>,
}

/// With the columns of [`Event`], written by derive.
pub struct ByDerive;

/// With the columns of [`Event`], written by hand.
pub struct ByHand;

impl Processor for ByDerive {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("rows-by-derive", "1").output_of::<Event>("events")
    }

    fn new(_: NoConfig, _: &[String]) -> Result<Self, String> {
        Ok(Self)
    }

    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
        let event = Event::read(message.payload()?)?;
        rows.write(0, &event)?;
        Ok(Outcome::Rows)
    }
}

impl Processor for ByHand {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("rows-by-hand", "1").output_of::<Event>("events")
    }

    fn new(_: NoConfig, _: &[String]) -> Result<Self, String> {
        Ok(Self)
    }

    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
        let event = Event::read(message.payload()?)?;
        let mut row = rows.begin(0);
        row.u64(event.id).u64(event.project_id).uuid(event.trace).date_time(event.at).string(event.service);
        row.nullable(event.release).string(event.message).f64(event.duration).nullable(event.retries);
        row.bool(event.sampled).array(event.groups);
        row.array(event.tags.iter().map(|tag| tag.key)).array(event.tags.iter().map(|tag| tag.value));
        row.end()?;
        Ok(Outcome::Rows)
    }
}

impl<'a> Event<'a> {
    fn read(payload: &'a [u8]) -> Result<Self, Rejection> {
        let text = str::from_utf8(payload).map_err(|error| error.to_string())?;
        let part = |start: usize, end: usize| text.get(start..end.min(text.len())).unwrap_or_default();
        let number = text.len() as u64;
        Ok(Self {
            id: number,
            project_id: number % 7,
            trace: Uuid([number as u8; 16]),
            at: DateTime(number as u32),
            service: part(0, 12),
            release: (!number.is_multiple_of(3)).then(|| part(12, 30)),
            message: part(30, usize::MAX),
            duration: number as f64,
            retries: number.is_multiple_of(2).then_some(3),
            sampled: number.is_multiple_of(2),
            groups: &[1, 2, 3],
            tags: (0..8).map(|at| Tag { key: part(at, at + 9), value: Some(part(at * 5, at * 5 + 20)) }).collect(),
        })
    }
}
