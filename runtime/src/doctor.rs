//! `tidegate doctor`: what will hurt at night. Looks at the brokers and clusters of a configuration as they are, and says
//! what is wrong there with what mends it. `brokers`, `logs` and `clusters` look; `topics`, `groups`, `tables` and `hosts` judge
//! what was seen, and know no I/O.

mod brokers;
mod clusters;
mod finding;
mod groups;
mod hosts;
mod logs;
mod tables;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use crate::clickhouse;
use crate::config::Config;
use crate::kafka::sight::Sight;
use crate::start;

pub use finding::{Check, Finding, Mend, Severity};

/// librdkafka's, where the configuration says nothing.
const POLL_INTERVAL_MAX: Duration = Duration::from_secs(300);

/// What was found, and how much was looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub findings: Vec<Finding>,
    pub seen: Seen,
}

/// How many of each were looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub topics: usize,
    pub groups: usize,
    pub hosts: usize,
    pub tables: usize,
}

/// Looks at everything. `worst_outage` is how long a pipeline, or what it depends on, may be down without losing or
/// doubling anything.
pub async fn examine(config: Arc<Config>, worst_outage: Duration) -> Report {
    let asked = config.clone();
    let of_kafka = tokio::task::spawn_blocking(move || brokers::look(&asked, worst_outage)).await;
    let of_kafka = of_kafka.expect("looking at brokers does not panic");
    let of_clickhouse = clusters::look(&config, &of_kafka.members, worst_outage).await;
    let interval = poll_interval_max(&config);
    let own = config.pipelines.value.iter();
    let own = own.filter_map(|(name, pipeline)| drain_timeout(name, pipeline.drain_timeout.0, interval));
    let mut findings: Vec<Finding> = Vec::new();
    for finding in of_kafka.findings.into_iter().chain(of_clickhouse.findings).chain(own) {
        // What several pipelines share is found once.
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let (kafka, clickhouse) = (of_kafka.seen, of_clickhouse.seen);
    Report { findings, seen: Seen { hosts: clickhouse.hosts, tables: clickhouse.tables, ..kafka } }
}

/// Carries out what [`Mend::is_safe`] says is safe.
///
/// # Errors
/// With the server's words.
///
/// # Panics
/// If it is not safe.
pub async fn mend(config: &Config, mend: &Mend) -> Result<(), String> {
    match mend.clone() {
        Mend::Topic { topic, name, value, .. } => {
            let brokers = start::brokers(config);
            let set = move || Sight::new(&brokers)?.set(&topic, name, &value);
            tokio::task::spawn_blocking(set).await.map_err(|error| error.to_string())?
        }
        Mend::Table { cluster, host, .. } => {
            let cluster = clickhouse::Cluster::new(config.clickhouse[&cluster].settings());
            cluster.run_at(&host, &mend.to_string()).await.map(drop).map_err(|error| error.to_string())
        }
        Mend::ByHand(_) => panic!("somebody has to decide on this"),
    }
}

/// What cannot be seen is said.
fn not_looked_at(object: String, what: &str, mend: &str) -> Finding {
    let (check, severity) = (Check::NotLookedAt, Severity::Warning);
    Finding { check, severity, object, found: what.to_owned(), mend: Mend::ByHand(mend.to_owned()) }
}

fn poll_interval_max(config: &Config) -> Duration {
    let brokers = start::brokers(config);
    let written = brokers.properties.get("max.poll.interval.ms").and_then(|value| value.expose().parse().ok());
    written.map_or(POLL_INTERVAL_MAX, Duration::from_millis)
}

/// A quarter of the interval is for the way back to the group.
fn drain_timeout(pipeline: &str, drain: Duration, poll_interval_max: Duration) -> Option<Finding> {
    let interval = text(poll_interval_max);
    let mend = format!("write max.poll.interval.ms: {} under kafka.properties", (drain * 4).as_millis().div_ceil(3));
    (drain > poll_interval_max * 3 / 4).then(|| Finding {
        check: Check::DrainTimeout,
        severity: Severity::Warning,
        object: format!("pipeline {pipeline}"),
        found: format!("drain_timeout is {}, and max.poll.interval.ms is {interval}", text(drain)),
        mend: Mend::ByHand(format!("{mend}, or a shorter drain_timeout")),
    })
}

/// `1h30m`, `500ms`; the two largest units.
fn text(duration: Duration) -> String {
    const UNITS: [(u128, &str); 5] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let mut left = duration.as_millis();
    let mut parts = Vec::new();
    for (unit, name) in UNITS {
        if left >= unit && parts.len() < 2 {
            parts.push(format!("{}{name}", left / unit));
            left %= unit;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_ends_before_the_group_gives_a_member_up() {
        let check = |drain| drain_timeout("p", Duration::from_secs(drain), Duration::from_secs(8));
        assert_eq!(check(6), None);
        let found = check(7).unwrap();
        assert_eq!((found.check, found.severity), (Check::DrainTimeout, Severity::Warning));
        assert!(found.mend.to_string().starts_with("write max.poll.interval.ms: 9334 "), "{}", found.mend);
    }

    #[test]
    fn durations_are_short() {
        let millis = |millis| text(Duration::from_millis(millis));
        assert_eq!(millis(0), "0s");
        assert_eq!(millis(604_800_000), "7d");
        assert_eq!(millis(5_400_000), "1h30m");
        assert_eq!(millis(90_061_001), "1d1h");
        assert_eq!(millis(1_500), "1s500ms");
    }
}
