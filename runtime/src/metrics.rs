//! Numbers for Prometheus. The only home of `prometheus_client`; stages call methods named after what happened.

mod names;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};

use crate::clock::now_ms;
use crate::offset::{Partition, Progress};
use crate::outcome::{ModuleName, Reason};
use crate::sink::Cost;
use names::Names;

/// All metrics of the process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    families: Arc<Families>,
}

/// The metrics of one pipeline. Cheap to clone.
#[derive(Clone)]
pub struct PipelineMetrics {
    families: Arc<Families>,
    pipeline: String,
}

/// One label beside the pipeline; which one, the metric's help says.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    pipeline: String,
    of: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ModuleLabels {
    pipeline: String,
    reason: String,
    digest: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PartitionLabels {
    pipeline: String,
    topic: String,
    partition: i32,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct HostLabels {
    host: String,
}

type Counters = Family<Labels, Counter>;
type Histograms = Family<Labels, Histogram>;
type Seconds = Gauge<f64, AtomicU64>;

/// The metrics, each said once: its name, how it counts, what it tells.
macro_rules! families {
    ($($name:ident: $kind:ty $(= $new:expr)?, $help:literal;)*) => {
        struct Families {
            names: Names,
            $($name: $kind,)*
        }

        impl Families {
            fn register(registry: &mut Registry) -> Self {
                Self {
                    names: Names::default(),
                    $($name: registered(registry, stringify!($name), $help, families!(@new $($new)?)),)*
                }
            }
        }
    };
    (@new) => { Family::default() };
    (@new $new:expr) => { $new };
}

families! {
    messages: Counters, "Messages read, of=topic";
    outcomes: Counters, "Messages settled, of=outcome; their sum reaches messages read";
    dead_letters: Counters, "Messages rejected, of=reason";
    rows: Counters, "Rows written, of=storage";
    row_bytes: Counters, "RowBinary bytes written before compression, of=storage";
    batches: Counters, "Batches settled, of=all";
    schema_checked: Counters, "Messages checked against the schema, of=all";
    schema_invalid: Counters, "Messages checked that do not follow the schema, of=all";
    errors: Counters, "Failures that were retried, of=commit or publish:topic";
    insert_errors: Counters, "Failed inserts and rewrites, of=storage:code";
    host_errors: Family<HostLabels, Counter>, "Requests that a ClickHouse host could not take";
    rewrite_rows_read: Counters, "Rows read by rewrites, of=storage";
    rewrite_bytes_read: Counters, "Bytes read by rewrites, of=storage";
    rewrite_rows: Counters, "Rows written by rewrites, of=storage";
    rewrite_seconds: Histograms = minutes(), "Time of a successful rewrite, of=storage";
    rebalances: Counters, "Changes of the assignment, of=assigned, revoked or lost";
    jumped_over: Counters, "Offsets not read because the position was out of range, of=topic";
    processor_failures: Family<ModuleLabels, Counter>, "Calls that gave no answer";
    processor_counters: Counters, "Counters of the processor's own, of=name";
    call_seconds: Histograms = seconds(), "Time of a call of the processor, of=module";
    call_gap_seconds: Histograms = seconds(), "From the end of a call to the end of the next, of=all";
    batch_rows: Histograms = row_counts(), "Rows of an insert, of=storage";
    batch_age_seconds: Histograms = seconds(), "From a batch's first message to its commit, of=all";
    insert_seconds: Histograms = seconds(), "Time of a successful insert, of=storage";
    commit_seconds: Histograms = seconds(), "Time of an offset commit with its retries, of=all";
    latency_seconds: Histograms = seconds(), "From a batch's last message's broker timestamp to its commit, of=topic";
    in_flight_bytes: Family<Labels, Gauge>, "Message bytes read and not processed yet, of=all";
    lag: Family<PartitionLabels, Gauge>, "Messages between what is committed and the end of the partition";
    lag_seconds: Family<PartitionLabels, Seconds>, "Age of the last committed message while there is a lag";
    position: Family<PartitionLabels, Gauge>, "Next offset after what is written and committed";
}

fn seconds() -> Histograms {
    Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.0005, 2.0, 18)))
}

fn minutes() -> Histograms {
    Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.01, 2.0, 18)))
}

fn row_counts() -> Histograms {
    Family::new_with_constructor(|| Histogram::new(exponential_buckets(1.0, 4.0, 12)))
}

fn registered<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("tidegate");
        let families = Families::register(&mut registry);
        Self { registry: Arc::new(Mutex::new(registry)), families: Arc::new(families) }
    }

    pub fn pipeline(&self, name: &str) -> PipelineMetrics {
        PipelineMetrics { families: self.families.clone(), pipeline: name.to_owned() }
    }

    pub fn host_failed(&self, host: &str) {
        self.families.host_errors.get_or_create(&HostLabels { host: host.to_owned() }).inc();
    }

    /// The exposition text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        encode(&mut text, &registry).expect("writing into a String does not fail");
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl PipelineMetrics {
    pub fn read(&self, progress: &Progress) {
        // Labels are texts of their own: one for each topic, not for each of many partitions.
        let mut by_topic = BTreeMap::new();
        for (partition, covered) in progress.iter() {
            *by_topic.entry(&partition.topic).or_default() += covered.counts.messages;
        }
        for (topic, messages) in by_topic {
            self.families.messages.get_or_create(&self.of(topic)).inc_by(messages);
        }
    }

    pub fn called(&self, module: &ModuleName, seconds: f64, failures: &[Reason], counted: &[(String, u64)]) {
        let bounded = |kind, name| self.families.names.bounded(&self.pipeline, kind, name);
        let (name, digest) = (bounded("module", &module.name), module.digest.hex());
        self.families.call_seconds.get_or_create(&self.of(name)).observe(seconds);
        for reason in failures {
            let (pipeline, reason) = (self.pipeline.clone(), reason.as_str().to_owned());
            let labels = ModuleLabels { pipeline, reason, digest: bounded("digest", &digest).to_owned() };
            self.families.processor_failures.get_or_create(&labels).inc();
        }
        for (name, delta) in counted {
            let labels = self.of(bounded("counter", name));
            self.families.processor_counters.get_or_create(&labels).inc_by(*delta);
        }
    }

    /// Between the ends of two successive calls.
    pub fn gap(&self, gap: Duration) {
        self.families.call_gap_seconds.get_or_create(&self.of("all")).observe(gap.as_secs_f64());
    }

    /// Of `messages` checked against the schema, so many do not follow it.
    pub fn checked(&self, messages: u64, invalid: u64) {
        self.families.schema_checked.get_or_create(&self.of("all")).inc_by(messages);
        self.families.schema_invalid.get_or_create(&self.of("all")).inc_by(invalid);
    }

    pub fn inserted(&self, storage: &str, rows: u64, raw_bytes: u64, took: Duration) {
        let labels = self.of(storage);
        self.families.rows.get_or_create(&labels).inc_by(rows);
        self.families.row_bytes.get_or_create(&labels).inc_by(raw_bytes);
        self.families.batch_rows.get_or_create(&labels).observe(rows as f64);
        self.families.insert_seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub fn rewritten(&self, storage: &str, cost: Cost, took: Duration) {
        let labels = self.of(storage);
        self.families.rewrite_rows_read.get_or_create(&labels).inc_by(cost.rows_read);
        self.families.rewrite_bytes_read.get_or_create(&labels).inc_by(cost.bytes_read);
        self.families.rewrite_rows.get_or_create(&labels).inc_by(cost.rows_written);
        self.families.rewrite_seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub fn insert_failed(&self, storage: &str, code: Option<u32>) {
        let code = code.map_or("none".to_owned(), |code| code.to_string());
        self.families.insert_errors.get_or_create(&self.of(&format!("{storage}:{code}"))).inc();
    }

    pub fn dead_lettered(&self, reason: Reason) {
        self.families.dead_letters.get_or_create(&self.of(reason.as_str())).inc();
        self.families.outcomes.get_or_create(&self.of("dead_letter")).inc();
    }

    pub fn discarded(&self, reason: Reason) {
        self.families.dead_letters.get_or_create(&self.of(reason.as_str())).inc();
        self.families.outcomes.get_or_create(&self.of("discarded")).inc();
    }

    /// Rows durable, dead letters and replacements acknowledged.
    pub fn settled(&self, progress: &Progress) {
        let counts = progress.counts();
        let outcomes = &self.families.outcomes;
        outcomes.get_or_create(&self.of("inserted")).inc_by(counts.inserted);
        outcomes.get_or_create(&self.of("skipped")).inc_by(counts.skipped);
        outcomes.get_or_create(&self.of("unselected")).inc_by(counts.unselected);
        outcomes.get_or_create(&self.of("replacement")).inc_by(counts.replacements);
        outcomes.get_or_create(&self.of("rewrite")).inc_by(counts.rewrites);
        self.families.batches.get_or_create(&self.of("all")).inc();
    }

    pub fn committed(&self, progress: &Progress, took: Duration, age: Duration) {
        self.families.commit_seconds.get_or_create(&self.of("all")).observe(took.as_secs_f64());
        self.families.batch_age_seconds.get_or_create(&self.of("all")).observe(age.as_secs_f64());
        let now_ms = now_ms();
        for (partition, covered) in progress.iter() {
            self.families.position.get_or_create(&self.partition(partition)).set(covered.range.end);
            if let Some(at_ms) = covered.last_timestamp_ms.filter(|at_ms| *at_ms > 0) {
                let latency = (now_ms - at_ms).max(0) as f64 / 1000.0;
                self.families.latency_seconds.get_or_create(&self.of(&partition.topic)).observe(latency);
                self.families.lag_seconds.get_or_create(&self.partition(partition)).set(latency);
            }
        }
    }

    pub fn commit_failed(&self) {
        self.families.errors.get_or_create(&self.of("commit")).inc();
    }

    pub fn publish_failed(&self, topic: &str) {
        self.families.errors.get_or_create(&self.of(&format!("publish:{topic}"))).inc();
    }

    /// `kind` is `assigned`, `revoked` or `lost`.
    pub fn rebalanced(&self, kind: &str) {
        self.families.rebalances.get_or_create(&self.of(kind)).inc();
    }

    pub fn jumped_over(&self, partition: &Partition, offsets: u64) {
        self.families.jumped_over.get_or_create(&self.of(&partition.topic)).inc_by(offsets);
    }

    pub fn in_flight(&self, bytes: usize) {
        self.families.in_flight_bytes.get_or_create(&self.of("all")).set(bytes as i64);
    }

    pub fn lag(&self, partition: &Partition, messages: i64) {
        self.families.lag.get_or_create(&self.partition(partition)).set(messages);
        if messages == 0 {
            self.families.lag_seconds.get_or_create(&self.partition(partition)).set(0.0);
        }
    }

    /// A partition that is somebody else's is not reported any more.
    pub fn forget(&self, partition: &Partition) {
        let labels = self.partition(partition);
        self.families.lag.remove(&labels);
        self.families.lag_seconds.remove(&labels);
        self.families.position.remove(&labels);
    }

    fn of(&self, of: &str) -> Labels {
        Labels { pipeline: self.pipeline.clone(), of: of.to_owned() }
    }

    fn partition(&self, partition: &Partition) -> PartitionLabels {
        PartitionLabels {
            pipeline: self.pipeline.clone(),
            topic: partition.topic.to_string(),
            partition: partition.number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::{Assignment, Counts, Covered, Range};

    #[test]
    fn outcomes_sum_to_messages_read() {
        let metrics = Metrics::new();
        let pipeline = metrics.pipeline("p");
        let counts = Counts {
            messages: 14,
            inserted: 6,
            skipped: 1,
            unselected: 3,
            replacements: 1,
            rewrites: 1,
            dead_letters: 2,
            ..Counts::default()
        };
        assert!(counts.is_complete());
        let range = Range::new(0, 14);
        let covered =
            Covered { assignment: Assignment(1), range, last_timestamp_ms: None, received_ms: vec![], counts };
        let progress: Progress = [(Partition::new("events", 0), covered)].into_iter().collect();
        pipeline.read(&progress);
        pipeline.settled(&progress);
        pipeline.dead_lettered(Reason::Trap);
        pipeline.discarded(Reason::Invalid);
        let text = metrics.encode();
        let sum = |name: &str| -> u64 {
            let lines = text.lines().filter(|line| line.starts_with(name));
            lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
        };
        assert_eq!(sum("tidegate_messages_total"), 14);
        assert_eq!(sum("tidegate_outcomes_total"), 14);
        assert!(text.contains("# HELP tidegate_outcomes Messages settled"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
