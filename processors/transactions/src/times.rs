//! When a transaction started and finished, to the microsecond.

use serde_json::Value;
use shared::moment::Moment;
use tidegate_processor::Rejection;

use crate::event::Data;

#[derive(Debug)]
pub struct Times {
    pub start: Moment,
    pub finish: Moment,
}

impl Times {
    /// What a `DateTime` cannot hold is now.
    ///
    /// # Errors
    /// If one of the two is no number.
    pub fn of(data: &Data<'_>, now_ms: i64) -> Result<Self, Rejection> {
        let read = |value: &Value, field: &str| {
            let seconds = value.as_f64().ok_or_else(|| format!("\"data.{field}\" is not a number"))?;
            Ok::<_, Rejection>(Moment::at(seconds).unwrap_or(Moment::of_clock(now_ms)))
        };
        Ok(Self { start: read(&data.start_timestamp, "start_timestamp")?, finish: read(&data.timestamp, "timestamp")? })
    }

    pub fn duration_ms(&self) -> u32 {
        self.finish.milliseconds_since(self.start)
    }

    pub fn finished_before(&self, days: u16, now_ms: i64) -> bool {
        self.finish.days_later(days) < Moment::of_clock(now_ms)
    }
}
