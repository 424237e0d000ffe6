//! What is wrong with a table on one host, from what was seen of it.

use std::time::Duration;

use super::finding::{Check, Finding, Mend, Severity};
use super::text;
use crate::clickhouse::sight::{Inserts, Mutation, Parts, Replica, Table, Told};
use crate::clickhouse::{Error, quoted};

/// A table of the configuration on one host, and how it is written.
#[derive(Clone, Debug)]
pub struct Written<'a> {
    pub cluster: &'a str,
    pub host: &'a str,
    /// `database.table`
    pub table: String,
    pub user: &'a str,
    /// For one insert.
    pub timeout: Duration,
    /// A batch is written after this long at the latest.
    pub batch_time: Duration,
    /// Pipelines and processes that write, as far as is known; 1 at least.
    pub writers: u64,
    pub worst_outage: Duration,
}

/// Engines that keep nothing, or not for long.
const FORGETFUL: &[&str] = &["Null", "Memory", "Buffer", "Set", "Join"];
const REPLICA_DELAY_MAX: Duration = Duration::from_secs(60);
const QUEUE_AGE_MAX: Duration = Duration::from_secs(600);
const MUTATION_AGE_MAX: Duration = Duration::from_secs(3600);

impl Written<'_> {
    fn finding(&self, check: Check, severity: Severity, found: String, mend: Mend) -> Finding {
        let object = format!("table {} at {} {}", self.table, self.cluster, self.host);
        Finding { check, severity, object, found, mend }
    }

    fn by_hand(&self, check: Check, severity: Severity, found: String, mend: impl Into<String>) -> Finding {
        self.finding(check, severity, found, Mend::ByHand(mend.into()))
    }

    pub fn missing(&self) -> Finding {
        let found = "it is not there, or the user may not see it".to_owned();
        let mend = format!("CREATE TABLE {}, or GRANT SELECT, INSERT ON {} TO {}", self.table, self.table, self.user);
        self.by_hand(Check::TableMissing, Severity::Error, found, mend)
    }

    /// Every check of one table.
    pub fn check(&self, table: &Table) -> Vec<Finding> {
        let mut found: Vec<Finding> = self.engine(table).into_iter().chain(self.deduplication(table)).collect();
        found.extend(self.told(&table.may_insert, "CHECK GRANT", |may| self.grants(*may)));
        found.extend(self.told(&table.parts, "system.parts", |parts| self.parts(table, *parts)));
        found.extend(self.told(&table.mutations, "system.mutations", |mutations| self.mutations(mutations)));
        found.extend(self.told(&table.replica, "system.replicas", |replica| self.replica((*replica)?)));
        found.extend(self.told(&table.inserts, "system.query_log", |inserts| self.inserts(*inserts)));
        found
    }

    /// What is not told is a finding itself.
    fn told<T>(&self, told: &Told<T>, place: &str, check: impl Fn(&T) -> Option<Finding>) -> Option<Finding> {
        match told {
            Ok(answer) => check(answer),
            // A log that this server does not keep.
            Err(Error::Exception { code: 60, .. }) if place.ends_with("_log") => {
                let mend = format!("add <{0}> to the server's configuration", place.trim_start_matches("system."));
                let found = format!("{place} is not kept");
                Some(self.by_hand(Check::NotLookedAt, Severity::Note, found, mend))
            }
            Err(error) => {
                let mend = match place.starts_with("system.") {
                    true => format!("GRANT SELECT ON {place} TO {}", self.user),
                    false => format!("SHOW GRANTS FOR {} says the same", self.user),
                };
                Some(self.by_hand(Check::NotLookedAt, Severity::Warning, format!("{place}: {error}"), mend))
            }
        }
    }

    fn engine(&self, table: &Table) -> Option<Finding> {
        FORGETFUL.contains(&table.engine.as_str()).then(|| {
            let found = format!("its engine is {}", table.engine);
            self.by_hand(Check::TableEngine, Severity::Error, found, "make it a MergeTree, or a Replicated one")
        })
    }

    /// A batch is known again by its block among so many later ones, and for so long.
    fn deduplication(&self, table: &Table) -> Vec<Finding> {
        if !table.engine.ends_with("MergeTree") {
            return Vec::new();
        }
        let settings = match &table.settings {
            Ok(settings) => settings,
            Err(_) => return self.told(&table.settings, "system.merge_tree_settings", |_| None).into_iter().collect(),
        };
        let number = |name: &str| settings.get(name).and_then(|value| value.parse::<u64>().ok());
        if !table.engine.starts_with("Replicated") {
            let window = number(NON_REPLICATED).unwrap_or(0);
            return self.blocks(NON_REPLICATED, window).into_iter().collect();
        }
        let of_blocks = number(REPLICATED).and_then(|window| self.blocks(REPLICATED, window));
        let of_time = number(REPLICATED_SECONDS).and_then(|seconds| self.seconds(seconds));
        of_blocks.into_iter().chain(of_time).collect()
    }

    fn blocks(&self, name: &'static str, window: u64) -> Option<Finding> {
        let outage = self.blocks_in_outage();
        if window == 0 {
            let found = format!("{name} is 0");
            return Some(self.finding(
                Check::DeduplicationOff,
                Severity::Error,
                found,
                self.set(name, rounded_up(outage)),
            ));
        }
        let found = format!(
            "{name} is {window}, and an outage of {} may be {outage} blocks ({} writing, a batch every {})",
            text(self.worst_outage),
            self.writers,
            text(self.batch_time),
        );
        let mend = self.set(name, rounded_up(outage));
        (window < outage).then(|| self.finding(Check::DeduplicationWindow, Severity::Error, found, mend))
    }

    fn seconds(&self, window: u64) -> Option<Finding> {
        let outage = self.worst_outage.as_secs();
        let found = format!(
            "{REPLICATED_SECONDS} is {}, and --worst-outage is {}",
            text(Duration::from_secs(window)),
            text(self.worst_outage)
        );
        let mend = self.set(REPLICATED_SECONDS, outage * 2);
        (window < outage).then(|| self.finding(Check::DeduplicationWindow, Severity::Error, found, mend))
    }

    /// Others go on while one waits.
    fn blocks_in_outage(&self) -> u64 {
        let batches = self.worst_outage.as_secs_f64() / self.batch_time.as_secs_f64().max(0.001);
        (batches.ceil() as u64).saturating_mul(self.writers)
    }

    fn set(&self, name: &'static str, value: u64) -> Mend {
        let (cluster, host) = (self.cluster.to_owned(), self.host.to_owned());
        Mend::Table { cluster, host, table: quoted(&self.table), name, value }
    }

    fn grants(&self, may_insert: bool) -> Option<Finding> {
        let found = format!("user {} may not insert", self.user);
        let mend = format!("GRANT INSERT ON {} TO {}", self.table, self.user);
        (!may_insert).then(|| self.by_hand(Check::Grants, Severity::Error, found, mend))
    }

    fn parts(&self, table: &Table, parts: Parts) -> Option<Finding> {
        let settings = table.settings.as_ref().ok()?;
        let number = |name: &str| settings.get(name).and_then(|value| value.parse::<u64>().ok()).filter(|max| *max > 0);
        let (most, throws) = (parts.in_one_partition, number("parts_to_throw_insert"));
        let delays = number("parts_to_delay_insert").or(throws);
        let severity = if throws.is_some_and(|throws| most * 5 >= throws * 4) {
            Severity::Error
        } else if delays.is_some_and(|delays| most >= delays) {
            Severity::Warning
        } else {
            return None;
        };
        let found = format!("{most} parts in one partition, and inserts are refused at {}", throws.unwrap_or(0));
        let mend =
            "see why merges are slow (system.merges, disk, mutations); write larger batches (batch.rows, batch.time)";
        Some(self.by_hand(Check::PartsNearLimit, severity, found, mend))
    }

    fn mutations(&self, mutations: &[Mutation]) -> Option<Finding> {
        let too_old = |mutation: &&Mutation| Duration::from_secs(mutation.age_seconds) > MUTATION_AGE_MAX;
        let failed = mutations.iter().find(|mutation| !mutation.failure.is_empty());
        let stuck = failed.or_else(|| mutations.iter().find(too_old))?;
        let why = match stuck.failure.as_str() {
            "" => format!("it is {} old", text(Duration::from_secs(stuck.age_seconds))),
            failure => format!("it fails: {}", failure.lines().next().unwrap_or_default()),
        };
        let (database, table) = self.table.split_once('.').unwrap_or_default();
        let mend = format!(
            "mend what it fails on, or KILL MUTATION WHERE database = '{database}' AND table = '{table}' AND mutation_id = \
             '{}'",
            stuck.id
        );
        let found = format!("{} to be done; {} {}: {why}", mutations.len(), stuck.id, stuck.command);
        Some(self.by_hand(Check::MutationStuck, Severity::Warning, found, mend))
    }

    fn replica(&self, replica: Replica) -> Option<Finding> {
        let Replica { is_readonly, delay_seconds, total, active, oldest_seconds } = replica;
        let seconds = Duration::from_secs;
        let lags = seconds(delay_seconds) > REPLICA_DELAY_MAX || seconds(oldest_seconds) > QUEUE_AGE_MAX;
        Some(if is_readonly {
            let mend =
                format!("SYSTEM RESTART REPLICA {0}; if its metadata is gone: SYSTEM RESTORE REPLICA {0}", self.table);
            self.by_hand(Check::ReplicaReadonly, Severity::Error, "the replica is read-only".into(), mend)
        } else if active < total {
            let found = format!("{active} of {total} replicas are active");
            self.by_hand(
                Check::ReplicaDown,
                Severity::Warning,
                found,
                "start the others, or SYSTEM DROP REPLICA 'NAME'",
            )
        } else if lags {
            let delay = text(seconds(delay_seconds));
            let found =
                format!("{delay} behind, the oldest entry of its queue is {} old", text(seconds(oldest_seconds)));
            let mend = "SELECT * FROM system.replication_queue ORDER BY create_time says what it waits for";
            self.by_hand(Check::ReplicaLag, Severity::Warning, found, mend)
        } else {
            return None;
        })
    }

    fn inserts(&self, inserts: Inserts) -> Option<Finding> {
        let p99 = Duration::from_millis(inserts.p99_ms);
        let severity = if p99 > self.timeout {
            Severity::Error
        } else if p99 > self.timeout / 2 {
            Severity::Warning
        } else {
            return None;
        };
        let timeout = text(self.timeout);
        let found = format!("99 of 100 inserts of the last day took up to {}, timeout is {timeout}", text(p99));
        let mend = format!("raise clickhouse.{}.timeout, or write smaller batches", self.cluster);
        Some(self.by_hand(Check::InsertsSlow, severity, found, mend))
    }
}

const NON_REPLICATED: &str = "non_replicated_deduplication_window";
const REPLICATED: &str = "replicated_deduplication_window";
const REPLICATED_SECONDS: &str = "replicated_deduplication_window_seconds";

/// With room, to the next thousand.
fn rounded_up(blocks: u64) -> u64 {
    (blocks + blocks / 10).next_multiple_of(1000).max(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: fn() -> Written<'static> = || Written {
        cluster: "main",
        host: "http://ch",
        table: "d.t".into(),
        user: "default",
        timeout: Duration::from_secs(60),
        batch_time: Duration::from_secs(2),
        writers: 2,
        worst_outage: Duration::from_secs(3600),
    };

    fn table(engine: &str, settings: &[(&str, &str)]) -> Table {
        let defaults = [
            (NON_REPLICATED, "10000"),
            (REPLICATED, "10000"),
            (REPLICATED_SECONDS, "3600"),
            ("parts_to_delay_insert", "1000"),
            ("parts_to_throw_insert", "3000"),
        ];
        let all = defaults.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Table {
            engine: engine.into(),
            engine_full: String::new(),
            settings: Ok(all.collect()),
            parts: Ok(Parts { in_one_partition: 20, partitions_written: 2 }),
            mutations: Ok(Vec::new()),
            replica: Ok(Some(Replica { is_readonly: false, delay_seconds: 0, total: 2, active: 2, oldest_seconds: 0 })),
            inserts: Ok(Inserts { count: 10, p99_ms: 900 }),
            may_insert: Ok(true),
        }
    }

    fn found(table: &Table) -> Vec<(&'static str, &'static str)> {
        WRITTEN().check(table).iter().map(|found| (found.check.id(), found.severity.as_str())).collect()
    }

    #[test]
    fn healthy_tables_have_no_findings() {
        for engine in ["MergeTree", "ReplacingMergeTree", "ReplicatedReplacingMergeTree", "Distributed"] {
            assert_eq!(found(&table(engine, &[])), [], "{engine}");
        }
        assert_eq!(found(&table("Memory", &[])), [("table-engine", "error")]);
    }

    #[test]
    fn batches_are_known_again_after_the_worst_outage() {
        assert_eq!(found(&table("MergeTree", &[(NON_REPLICATED, "0")])), [("deduplication-off", "error")]);
        assert_eq!(found(&table("MergeTree", &[(NON_REPLICATED, "3599")])), [("deduplication-window", "error")]);
        assert_eq!(found(&table("MergeTree", &[(NON_REPLICATED, "3600")])), []);
        for short in [(REPLICATED, "100"), (REPLICATED_SECONDS, "3599")] {
            assert_eq!(found(&table("ReplicatedMergeTree", &[short])), [("deduplication-window", "error")]);
        }
        let mend = &WRITTEN().check(&table("MergeTree", &[(NON_REPLICATED, "0")]))[0].mend;
        assert_eq!(mend.to_string(), format!("ALTER TABLE `d`.`t` MODIFY SETTING {NON_REPLICATED} = 4000"));
    }

    #[test]
    fn parts_are_far_from_the_limit() {
        for (most, severity) in [(999, None), (1000, Some("warning")), (2400, Some("error"))] {
            let parts = Ok(Parts { in_one_partition: most, partitions_written: 1 });
            let found = found(&Table { parts, ..table("MergeTree", &[]) });
            assert_eq!(found, severity.map(|severity| ("parts-near-limit", severity)).into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn replicas_keep_up() {
        let replica = |is_readonly, delay_seconds, active, oldest_seconds| {
            let replica = Some(Replica { is_readonly, delay_seconds, total: 2, active, oldest_seconds });
            found(&Table { replica: Ok(replica), ..table("ReplicatedMergeTree", &[]) })
        };
        assert_eq!(replica(false, 60, 2, 600), []);
        assert_eq!(replica(true, 0, 2, 0), [("replica-readonly", "error")]);
        assert_eq!(replica(false, 0, 1, 0), [("replica-down", "warning")]);
        assert_eq!(replica(false, 61, 2, 0), [("replica-lag", "warning")]);
        assert_eq!(replica(false, 0, 2, 601), [("replica-lag", "warning")]);
    }

    #[test]
    fn mutations_end() {
        let mutation = |age_seconds, failure: &str| {
            let mutation = Mutation { id: "m".into(), command: "c".into(), age_seconds, failure: failure.into() };
            found(&Table { mutations: Ok(vec![mutation]), ..table("MergeTree", &[]) })
        };
        assert_eq!(mutation(3600, ""), []);
        assert_eq!(mutation(3601, ""), [("mutation-stuck", "warning")]);
        assert_eq!(mutation(1, "code 395"), [("mutation-stuck", "warning")]);
    }

    #[test]
    fn inserts_are_quicker_than_their_timeout() {
        for (p99_ms, severity) in [(30_000, None), (30_001, Some("warning")), (60_001, Some("error"))] {
            let found = found(&Table { inserts: Ok(Inserts { count: 1, p99_ms }), ..table("MergeTree", &[]) });
            assert_eq!(found, severity.map(|severity| ("inserts-slow", severity)).into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn who_may_not_is_told() {
        let refused = |code| Err(Error::Exception { host: "h".into(), code, text: "not enough privileges".into() });
        assert_eq!(found(&Table { may_insert: Ok(false), ..table("MergeTree", &[]) }), [("grants", "error")]);
        assert_eq!(found(&Table { parts: refused(497), ..table("MergeTree", &[]) }), [("not-looked-at", "warning")]);
        let unkept = Table {
            inserts: Err(Error::Exception { host: "h".into(), code: 60, text: "x".into() }),
            ..table("MergeTree", &[])
        };
        assert_eq!(found(&unkept), [("not-looked-at", "note")]);
    }
}
