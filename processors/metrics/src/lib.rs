//! Metrics of release health: topic `snuba-metrics`, table `metrics_raw`. README.md says where it differs from the
//! reference.

mod row;

use shared::payload;
use tidegate_processor::{Manifest, Message, NoConfig, Outcome, Processor, Rejection, Rows, Wants, export};

/// The processor.
#[derive(Debug)]
pub struct Metrics;

impl Processor for Metrics {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("metrics", env!("CARGO_PKG_VERSION")).output("metrics", row::COLUMNS).wants(Wants::OFFSETS)
    }

    fn new(_config: NoConfig, _topics: &[String]) -> Result<Self, String> {
        Ok(Self)
    }

    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
        let metric: row::Metric<'_> = payload::object(message)?;
        metric.tell_received(rows);
        row::write(&metric, message, rows)?;
        Ok(Outcome::Rows)
    }
}

export!(Metrics);
