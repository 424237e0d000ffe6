//! Looks at the hosts and tables of the ClickHouse clusters of a configuration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_client::Consistency;

use super::finding::{Check, Finding, Mend, Severity};
use super::hosts::{Host, LOOKED_AT};
use super::tables::Written;
use super::{Seen, not_looked_at};
use crate::clickhouse::sight::Settings;
use crate::clickhouse::{Cluster, Error, Storage};
use crate::config::{self, Config};

/// What was found.
#[derive(Default)]
pub(super) struct Looked {
    pub findings: Vec<Finding>,
    pub seen: Seen,
}

/// A table, and what the pipelines together do to it.
#[derive(Clone, Debug)]
struct Load {
    batch_time: Duration,
    batch_bytes: u64,
    in_flight: u64,
    writers: u64,
    rewrite_timeout: Duration,
    consistency: Consistency,
}

/// By cluster and table as the configuration names it.
type Loads = BTreeMap<(String, String), Load>;

pub(super) async fn look(config: &Config, members: &BTreeMap<(String, String), u64>, worst_outage: Duration) -> Looked {
    let loads = loads(config, members);
    let mut looked = Looked::default();
    for (name, of_config) in &config.clickhouse {
        let tables: Vec<_> = loads.iter().filter(|((cluster, _), _)| cluster == name).collect();
        if tables.is_empty() {
            continue;
        }
        let look =
            Look { name, config: of_config, cluster: Arc::new(Cluster::new(of_config.settings())), worst_outage };
        looked.seen.tables += tables.len();
        let mut down = Vec::new();
        for host in &of_config.hosts.value {
            match look.at_host(host.as_str(), &tables).await {
                Ok(findings) => {
                    looked.seen.hosts += 1;
                    looked.findings.extend(findings);
                }
                Err(error) => down.push(error),
            }
        }
        let severity = if down.len() == of_config.hosts.value.len() { Severity::Error } else { Severity::Warning };
        looked.findings.extend(down.iter().map(|error| unreachable(name, error, severity)));
    }
    looked
}

struct Look<'a> {
    name: &'a str,
    config: &'a config::Cluster,
    cluster: Arc<Cluster>,
    worst_outage: Duration,
}

impl Look<'_> {
    /// An error: the host does not answer at all.
    async fn at_host(&self, url: &str, tables: &[(&(String, String), &Load)]) -> Result<Vec<Finding>, Error> {
        let (ahead_ms, error_ms) = self.cluster.clock_ahead_ms(url).await?;
        let loads = || tables.iter().map(|(_, load)| *load);
        let sent = tables.first().map(|((_, table), load)| {
            let storage = Storage::new("", self.cluster.clone(), table, load.rewrite_timeout);
            storage.with_consistency(load.consistency).settings_sent()
        });
        let host = Host {
            cluster: self.name,
            host: url,
            user: self.config.user.as_str(),
            timeout: self.config.timeout.0,
            batch_bytes: loads().map(|load| load.batch_bytes).max().unwrap_or(0),
            in_flight: loads().map(|load| load.in_flight).max().unwrap_or(1),
            sent: sent.unwrap_or_default(),
        };
        let mut findings: Vec<_> = host.check_clock(ahead_ms, error_ms).into_iter().collect();
        let names: Vec<_> = host.sent.iter().map(|(name, _)| *name).chain(LOOKED_AT.iter().copied()).collect();
        let settings = match self.cluster.settings_of_user(url, &names).await {
            Ok(settings) => settings,
            Err(error) => {
                findings.push(self.refused(url, "system.settings", &error));
                Settings::new()
            }
        };
        findings.extend(host.check_settings(&settings));
        match self.cluster.disks(url).await {
            Ok(disks) => findings.extend(disks.iter().filter_map(|disk| host.check_disk(disk))),
            Err(error) => findings.push(self.refused(url, "system.disks", &error)),
        }
        for ((_, table), load) in tables {
            findings.extend(self.at_table(&host, &settings, table, load).await);
        }
        Ok(findings)
    }

    async fn at_table(&self, host: &Host<'_>, settings: &Settings, table: &str, load: &Load) -> Vec<Finding> {
        let name = match table.contains('.') {
            true => table.to_owned(),
            false => format!("{}.{table}", self.config.database.0),
        };
        let written = |table| Written {
            cluster: self.name,
            host: host.host,
            table,
            user: host.user,
            timeout: host.timeout,
            batch_time: load.batch_time,
            writers: load.writers,
            worst_outage: self.worst_outage,
        };
        let mut findings = Vec::new();
        let mut next = Some(written(name));
        while let Some(written) = next.take() {
            let seen = match self.cluster.table(host.host, &written.table).await {
                Ok(Some(seen)) => seen,
                Ok(None) => {
                    findings.push(written.missing());
                    break;
                }
                Err(error) => {
                    findings.push(self.refused(host.host, "system.tables", &error));
                    break;
                }
            };
            findings.extend(written.check(&seen));
            findings.extend(host.check_partitions(settings, &written.table, &seen));
            // Blocks are known again by the table behind it.
            next = seen.behind().map(|behind| Written { table: behind, ..written });
        }
        findings
    }

    fn refused(&self, host: &str, place: &str, error: &Error) -> Finding {
        let mend = format!("GRANT SELECT ON {place} TO {}", self.config.user.0);
        not_looked_at(format!("cluster {} {host}", self.name), &format!("{place}: {error}"), &mend)
    }
}

fn unreachable(cluster: &str, error: &Error, severity: Severity) -> Finding {
    let object = format!("cluster {cluster}");
    let mend = Mend::ByHand(format!("start it, or correct clickhouse.{cluster}: hosts, user, password, tls"));
    Finding { check: Check::Unreachable, severity, object, found: error.to_string(), mend }
}

fn loads(config: &Config, members: &BTreeMap<(String, String), u64>) -> Loads {
    let mut loads = Loads::new();
    for pipeline in config.pipelines.value.values() {
        let group = (pipeline.group.0.clone(), pipeline.topic.value.0.clone());
        let limits = config.batch_limits(pipeline);
        let mut names: Vec<_> = pipeline.outputs.value.values().flatten().map(|name| name.value.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        for storage in names.into_iter().filter_map(|name| config.storages.get(name)) {
            let load = Load {
                batch_time: limits.time_max,
                batch_bytes: limits.bytes_max,
                in_flight: pipeline.batch.inserts_in_flight.0,
                writers: members.get(&group).copied().unwrap_or(1).max(1),
                rewrite_timeout: storage.rewrite_timeout.0,
                consistency: storage.consistency.value.0,
            };
            let place = (storage.cluster.value.0.clone(), storage.table.0.clone());
            let all = loads.entry(place).or_insert(Load { writers: 0, ..load.clone() });
            all.batch_time = all.batch_time.min(load.batch_time);
            all.batch_bytes = all.batch_bytes.max(load.batch_bytes);
            all.in_flight = all.in_flight.max(load.in_flight);
            all.writers += load.writers;
        }
    }
    loads
}
