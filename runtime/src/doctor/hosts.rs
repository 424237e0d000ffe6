//! What is wrong with a host of ClickHouse and with the user's settings there, from what was seen.

use std::time::Duration;

use super::finding::{Check, Finding, Mend, Severity};
use super::text;
use crate::clickhouse::sight::{Disk, Settings, Table};

/// A host of a cluster of the configuration, and what is sent to it.
#[derive(Clone, Debug)]
pub struct Host<'a> {
    pub cluster: &'a str,
    pub host: &'a str,
    pub user: &'a str,
    /// For one insert.
    pub timeout: Duration,
    /// The most RowBinary bytes of one insert.
    pub batch_bytes: u64,
    /// The most inserts at a time of one process.
    pub in_flight: u64,
    /// Settings that go with every insert, and their values.
    pub sent: Vec<(&'static str, String)>,
}

/// Settings of a user that are looked at besides those that are sent.
pub const LOOKED_AT: &[&str] = &[
    "readonly",
    "async_insert",
    "wait_for_async_insert",
    "insert_quorum",
    "insert_quorum_parallel",
    "insert_quorum_timeout",
    "load_balancing",
    "prefer_localhost_replica",
    "max_memory_usage",
    "max_execution_time",
    "max_partitions_per_insert_block",
];

/// ClickHouse takes up to so many times the bytes of an insert in memory (measured with 26 columns, 26.7).
const MEMORY_OF_INSERT: u64 = 4;
/// A batch may well be of this many partitions of a table: hours or days that late messages are of.
const PARTITIONS_MIN: u64 = 10;
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5);

impl Host<'_> {
    fn finding(&self, check: Check, severity: Severity, found: String, mend: impl Into<String>) -> Finding {
        let object = format!("cluster {} {}, user {}", self.cluster, self.host, self.user);
        Finding { check, severity, object, found, mend: Mend::ByHand(mend.into()) }
    }

    /// `ALTER USER … SETTINGS` does nothing for users of users.xml, whose profile is a file.
    fn set(&self, setting: &str) -> String {
        format!("ALTER USER {} SETTINGS {setting}, or the same in the user's profile", self.user)
    }

    /// Every check of the user's settings.
    pub fn check_settings(&self, settings: &Settings) -> Vec<Finding> {
        let mut found: Vec<Finding> = self.locked(settings).into_iter().chain(self.readonly(settings)).collect();
        found.extend(self.async_insert(settings));
        found.extend(self.quorum(settings));
        found.extend(self.localhost_replica(settings));
        found.extend(self.limits(settings));
        found
    }

    fn readonly(&self, settings: &Settings) -> Option<Finding> {
        let readonly = number(settings, "readonly").filter(|readonly| *readonly > 0)?;
        let found = format!("the user has readonly = {readonly}");
        Some(self.finding(Check::UserReadonly, Severity::Error, found, self.set("readonly = 0")))
    }

    /// One that has the value that is sent may well be locked.
    fn locked(&self, settings: &Settings) -> Vec<Finding> {
        if number(settings, "readonly").is_some_and(|readonly| readonly == 1) {
            return Vec::new();
        }
        let locked = |(name, sent): &(&'static str, String)| {
            let here = settings.get(*name).filter(|here| here.is_locked && here.value != *sent)?;
            let found = format!("{name} = {} may not be changed, and tidegate sends {sent}", here.value);
            let mend = format!("take the constraint on {name} out of the user's profile");
            Some(self.finding(Check::SettingLocked, Severity::Error, found, mend))
        };
        self.sent.iter().filter_map(locked).collect()
    }

    /// The server's own default is nobody's decision.
    fn async_insert(&self, settings: &Settings) -> Option<Finding> {
        let is_on = settings.get("async_insert").is_some_and(|setting| setting.is_changed && setting.value == "1");
        let waits = settings.get("wait_for_async_insert").is_none_or(|setting| setting.value == "1");
        let found = if waits { "async_insert = 1" } else { "async_insert = 1 and wait_for_async_insert = 0" };
        let found = format!("the profile has {found}; tidegate sends async_insert=0 with what it inserts itself");
        is_on.then(|| self.finding(Check::AsyncInsert, Severity::Warning, found, self.set("async_insert = 0")))
    }

    fn quorum(&self, settings: &Settings) -> Option<Finding> {
        settings.get("insert_quorum").filter(|quorum| !["", "0"].contains(&quorum.value.as_str()))?;
        let timeout = Duration::from_millis(number(settings, "insert_quorum_timeout").unwrap_or(0));
        let serial = number(settings, "insert_quorum_parallel") == Some(0);
        let (found, mend) = if serial && self.in_flight > 1 {
            let found = "a quorum with insert_quorum_parallel = 0 takes one insert at a time, not";
            (format!("{found} {}", self.in_flight), self.set("insert_quorum_parallel = 1"))
        } else if timeout >= self.timeout {
            let wanted = format!("insert_quorum_timeout = {}", self.timeout.as_millis() / 2);
            let found = format!("insert_quorum_timeout is {}, and timeout is {}", text(timeout), text(self.timeout));
            (found, self.set(&wanted))
        } else {
            return None;
        };
        Some(self.finding(Check::InsertQuorum, Severity::Warning, found, mend))
    }

    /// Whoever has asked for an order means it.
    fn localhost_replica(&self, settings: &Settings) -> Option<Finding> {
        let in_order = settings.get("load_balancing").is_some_and(|setting| setting.value == "in_order");
        let prefers = number(settings, "prefer_localhost_replica").is_some_and(|prefers| prefers != 0);
        let found = "load_balancing = in_order, and prefer_localhost_replica = 1".to_owned();
        let mend = self.set("prefer_localhost_replica = 0");
        (in_order && prefers).then(|| self.finding(Check::PreferLocalhostReplica, Severity::Warning, found, mend))
    }

    fn limits(&self, settings: &Settings) -> Vec<Finding> {
        let limit = |name: &str| number(settings, name).filter(|limit| *limit > 0);
        let memory =
            limit("max_memory_usage").filter(|limit| *limit < self.batch_bytes * MEMORY_OF_INSERT).map(|limit| {
                let (has, needs) = (mebibytes(limit), mebibytes(self.batch_bytes * MEMORY_OF_INSERT));
                let found = format!(
                    "max_memory_usage is {has} MiB, and a batch of {} MiB may take {needs} MiB",
                    mebibytes(self.batch_bytes)
                );
                let wanted = self.set(&format!("max_memory_usage = {}", self.batch_bytes * MEMORY_OF_INSERT));
                self.finding(Check::UserLimits, Severity::Warning, found, format!("{wanted}; or lower batch.bytes"))
            });
        let time =
            limit("max_execution_time").filter(|limit| Duration::from_secs(*limit) < self.timeout).map(|limit| {
                let timeout = text(self.timeout);
                let found =
                    format!("max_execution_time is {}, and timeout is {timeout}", text(Duration::from_secs(limit)));
                let wanted = format!("max_execution_time = {}", self.timeout.as_secs());
                self.finding(Check::UserLimits, Severity::Warning, found, self.set(&wanted))
            });
        memory.into_iter().chain(time).collect()
    }

    /// How many partitions of the table batches fall into, against what the user may have in one.
    pub fn check_partitions(&self, settings: &Settings, name: &str, table: &Table) -> Option<Finding> {
        let limit = number(settings, "max_partitions_per_insert_block").filter(|limit| *limit > 0)?;
        let written = table.parts.as_ref().ok()?.partitions_written;
        if written * 2 < limit && limit >= PARTITIONS_MIN {
            return None;
        }
        let found = format!(
            "max_partitions_per_insert_block is {limit}, and {written} partitions of {name} got rows in the last hour"
        );
        let wanted = format!("max_partitions_per_insert_block = {}", (written * 10).max(100));
        Some(self.finding(Check::PartitionsPerBlock, Severity::Warning, found, self.set(&wanted)))
    }

    pub fn check_disk(&self, disk: &Disk) -> Option<Finding> {
        let share = disk.free_bytes as f64 / disk.total_bytes as f64;
        let severity = if share < 0.02 {
            Severity::Error
        } else if share < 0.05 {
            Severity::Warning
        } else {
            return None;
        };
        let Disk { name, path, free_bytes, .. } = disk;
        let found = format!("disk {name} ({path}) has {:.0} % free, {} MiB", share * 100.0, mebibytes(*free_bytes));
        Some(self.finding(Check::DiskFull, severity, found, "make room, or add a disk to the storage policy"))
    }

    /// `ahead_ms` of our clock, give or take `error_ms`.
    pub fn check_clock(&self, ahead_ms: i64, error_ms: i64) -> Option<Finding> {
        let at_least = Duration::from_millis(ahead_ms.unsigned_abs().saturating_sub(error_ms.unsigned_abs()));
        let way = if ahead_ms > 0 { "ahead of" } else { "behind" };
        let found = format!("its clock is {} {way} the one here", text(at_least));
        let mend = "let NTP set both (timedatectl, chronyc tracking)";
        (at_least > CLOCK_SKEW_MAX).then(|| self.finding(Check::ClockSkew, Severity::Warning, found, mend))
    }
}

/// Of Kafka it is known only that a broker has written a time that is still to come here.
pub fn clock_of_brokers(bootstrap: &str, newest_ms: Option<i64>, now_ms: i64) -> Finding {
    let ahead = Duration::from_millis(newest_ms.map_or(0, |newest_ms| (newest_ms - now_ms).max(0)) as u64);
    let object = format!("brokers {bootstrap}");
    if ahead > CLOCK_SKEW_MAX {
        let found = format!("a broker's clock is {} ahead of the one here, at least", text(ahead));
        let mend = Mend::ByHand("let NTP set both (timedatectl, chronyc tracking)".into());
        return Finding { check: Check::ClockSkew, severity: Severity::Warning, object, found, mend };
    }
    let found = "their clocks cannot be seen from here: Kafka tells its time to nobody who only reads".to_owned();
    let mend = Mend::ByHand("compare `date` there and here".into());
    Finding { check: Check::NotLookedAt, severity: Severity::Note, object, found, mend }
}

fn number(settings: &Settings, name: &str) -> Option<u64> {
    settings.get(name)?.value.parse().ok()
}

fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clickhouse::sight::{Inserts, Parts, Setting};

    fn host() -> Host<'static> {
        Host {
            cluster: "main",
            host: "http://ch",
            user: "writer",
            timeout: Duration::from_secs(60),
            batch_bytes: 64 << 20,
            in_flight: 2,
            sent: vec![("async_insert", "0".into()), ("load_balancing", "in_order".into())],
        }
    }

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let setting = |value: &str| Setting { value: value.into(), is_changed: true, is_locked: false };
        pairs.iter().map(|(name, value)| ((*name).to_owned(), setting(value))).collect()
    }

    fn found(pairs: &[(&str, &str)]) -> Vec<&'static str> {
        host().check_settings(&settings(pairs)).iter().map(|found| found.check.id()).collect()
    }

    #[test]
    fn a_user_who_may_write_has_no_findings() {
        assert!(found(&[]).is_empty());
        let healthy = [
            ("readonly", "0"),
            ("async_insert", "0"),
            ("insert_quorum", "2"),
            ("insert_quorum_timeout", "30000"),
            ("load_balancing", "random"),
            ("prefer_localhost_replica", "1"),
            ("max_memory_usage", "10000000000"),
        ];
        assert!(found(&healthy).is_empty());
    }

    #[test]
    fn what_a_profile_may_have_that_hurts() {
        assert_eq!(found(&[("readonly", "1")]), ["user-readonly"]);
        assert_eq!(found(&[("async_insert", "1")]), ["async-insert"]);
        assert_eq!(found(&[("insert_quorum", "auto"), ("insert_quorum_timeout", "600000")]), ["insert-quorum"]);
        assert_eq!(found(&[("insert_quorum", "2"), ("insert_quorum_parallel", "0")]), ["insert-quorum"]);
        let in_order = [("load_balancing", "in_order"), ("prefer_localhost_replica", "1")];
        assert_eq!(found(&in_order), ["prefer-localhost-replica"]);
        assert_eq!(found(&[("max_memory_usage", "200000000")]), ["user-limits"]);
        assert_eq!(found(&[("max_execution_time", "30")]), ["user-limits"]);
    }

    #[test]
    fn settings_that_are_sent_may_be_set() {
        let mut settings = settings(&[("async_insert", "0"), ("load_balancing", "random")]);
        settings.values_mut().for_each(|setting| setting.is_locked = true);
        let found = host().check_settings(&settings);
        let expected = "load_balancing = random may not be changed, and tidegate sends in_order";
        assert_eq!(found.iter().map(|found| found.found.as_str()).collect::<Vec<_>>(), [expected]);
    }

    #[test]
    fn the_servers_default_of_async_insert_is_nobodys_decision() {
        let default = Setting { value: "1".into(), is_changed: false, is_locked: false };
        assert!(host().check_settings(&[("async_insert".to_owned(), default)].into()).is_empty());
    }

    #[test]
    fn batches_may_be_of_several_partitions() {
        let check = |limit, partitions_written| {
            let parts = Ok(Parts { in_one_partition: 1, partitions_written });
            let table = Table {
                engine: "MergeTree".into(),
                engine_full: String::new(),
                settings: Ok([].into()),
                parts,
                mutations: Ok(Vec::new()),
                replica: Ok(None),
                inserts: Ok(Inserts::default()),
                may_insert: Ok(true),
            };
            host().check_partitions(&settings(&[("max_partitions_per_insert_block", limit)]), "d.t", &table).is_some()
        };
        assert!(!check("100", 49));
        assert!(check("100", 50));
        assert!(check("9", 1));
        assert!(!check("0", 1000));
    }

    #[test]
    fn disks_have_room() {
        let check = |free_bytes| {
            let disk = Disk { name: "default".into(), path: "/d".into(), free_bytes, total_bytes: 100 << 20 };
            host().check_disk(&disk).map(|found| found.severity)
        };
        assert_eq!(check(5 << 20), None);
        assert_eq!(check(4 << 20), Some(Severity::Warning));
        assert_eq!(check(1 << 20), Some(Severity::Error));
    }

    #[test]
    fn clocks_agree() {
        let check = |ahead_ms, error_ms| host().check_clock(ahead_ms, error_ms).map(|found| found.found);
        assert_eq!(check(5000, 0), None);
        assert_eq!(check(6000, 2000), None);
        assert_eq!(check(8000, 2000), Some("its clock is 6s ahead of the one here".into()));
        assert_eq!(check(-90_000, 0), Some("its clock is 1m30s behind the one here".into()));
        let of_brokers = |newest_ms| clock_of_brokers("kafka:9092", newest_ms, 1_000_000).check.id();
        assert_eq!(of_brokers(None), "not-looked-at");
        assert_eq!(of_brokers(Some(1_005_000)), "not-looked-at");
        assert_eq!(of_brokers(Some(1_006_000)), "clock-skew");
    }
}
