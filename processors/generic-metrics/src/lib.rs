//! Metrics of all use cases: topic `snuba-generic-metrics`, one table for each type. README.md says where it differs
//! from the reference.

mod row;
mod series;

use shared::metric::Metric as SharedMetric;
use shared::payload;
use tidegate_processor::{Manifest, Message, Outcome, Processor, Rejection, Rows, Wants, count, export};

use row::{TagValue, Typed};
use series::Object;

/// The processor.
#[derive(Debug)]
pub struct GenericMetrics {
    config: Config,
}

/// Its settings.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Use cases whose metrics are skipped.
    pub use_case_killswitch: Vec<String>,
    /// What the values of one metric may decompress to, in bytes.
    pub decompressed_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { use_case_killswitch: Vec::new(), decompressed_bytes_max: 4 << 20 }
    }
}

/// Its tags have numbers as keys and texts as values.
type Metric<'a> = SharedMetric<'a, TagValue<'a>, Box<Object<'a>>>;

impl Processor for GenericMetrics {
    type Config = Config;

    fn manifest() -> Manifest {
        row::OUTPUTS
            .iter()
            .fold(Manifest::new("generic-metrics", env!("CARGO_PKG_VERSION")), |manifest, output| {
                manifest.output(output.name, &output.columns())
            })
            .wants(Wants::HEADERS)
    }

    fn new(config: Config, _topics: &[String]) -> Result<Self, String> {
        Ok(Self { config })
    }

    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
        if announced_type(message).is_some_and(|kind| !matches!(kind, b"c" | b"s" | b"d" | b"g")) {
            return Ok(Outcome::Skipped);
        }
        let metric: Metric<'_> = payload::object(message)?;
        let use_case = metric.use_case_id.as_deref().ok_or("missing field `use_case_id`")?;
        if self.config.use_case_killswitch.iter().any(|killed| killed == use_case) {
            count("killswitched_use_case", 1);
            return Ok(Outcome::Skipped);
        }
        let Some(typed) = Typed::of(&metric, self.config.decompressed_bytes_max)? else {
            return Ok(Outcome::Skipped);
        };
        metric.tell_received(rows);
        typed.write(&metric, use_case, rows)?;
        count(&format!("genericmetrics_{use_case}"), message.payload()?.len() as u64);
        Ok(Outcome::Rows)
    }
}

/// The type of the metric according to the header, which spares reading the message.
fn announced_type<'a>(message: &Message<'a>) -> Option<&'a [u8]> {
    message.headers().find(|(name, _)| *name == b"metric_type").map(|(_, kind)| kind)
}

export!(GenericMetrics);
