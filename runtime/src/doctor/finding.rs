//! What can be wrong, why that matters, and what mends it. `docs/doctor.md` has the same as a table.

use std::fmt;

/// One thing that is wrong, or that could not be seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub check: Check,
    pub severity: Severity,
    /// `topic events-dlq`, `table main/default.errors`
    pub object: String,
    /// What is there, in half a sentence.
    pub found: String,
    pub mend: Mend,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nobody can tell from here.
    Note,
    /// It costs something, or will.
    Warning,
    /// Messages or rows get lost or double, or a pipeline stops.
    Error,
}

/// The way out.
#[derive(Clone, Debug, PartialEq)]
pub enum Mend {
    /// A setting of a topic that takes nothing away: `--fix` does it.
    Topic { bootstrap: String, topic: String, name: &'static str, value: String },
    /// A setting of a table that takes nothing away, on one host: `--fix` does it.
    Table { cluster: String, host: String, table: String, name: &'static str, value: u64 },
    /// A command, a statement or a deed that somebody has to decide on.
    ByHand(String),
}

macro_rules! checks {
    ($($name:ident $id:literal $why:literal)*) => {
        /// What is looked at.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Check {
            $($name,)*
        }

        impl Check {
            pub const ALL: &'static [Check] = &[$(Check::$name,)*];

            /// Its name in the output and in docs/doctor.md.
            pub fn id(self) -> &'static str {
                match self {
                    $(Check::$name => $id,)*
                }
            }

            /// Why it matters, in one sentence.
            pub fn why(self) -> &'static str {
                match self {
                    $(Check::$name => $why,)*
                }
            }
        }
    };
}

checks! {
    Unreachable "unreachable"
        "What does not answer here does not answer tidegate either, and nothing else can be said of it."
    NotLookedAt "not-looked-at"
        "Something may be wrong there that nobody has seen."
    TopicMissing "topic-missing"
        "The pipeline does not start, or is held at the first record that it writes there."
    PartitionDown "partition-down"
        "Without a leader nothing is read or written; with replicas that are behind, the next broker to fail takes messages along."
    ReplicationFactor "replication-factor"
        "When the one broker that has it fails, the topic stands still, and what was on its disk may be gone."
    MinInsyncReplicas "min-insync-replicas"
        "It decides what survives a broker: too many and one that is down stops all writing, too few and acknowledged messages are lost with it."
    TopicCompacted "topic-compacted"
        "Of messages with the same key only the last stays: the others are gone before anybody has read them."
    CommitLogCleanup "commit-log-cleanup"
        "Records of partitions without traffic are deleted, and readers downstream wait for what was written long ago."
    CommitLogCompaction "commit-log-compaction"
        "The log is never made small, and a reader downstream reads all of it before it lets anything through."
    RetentionShort "retention-too-short"
        "After an outage of that length messages are deleted that nobody has read."
    RetentionBySize "retention-by-size"
        "The topic forgets by size whatever its age: with more traffic, messages are deleted sooner than retention.ms says."
    UnreadExpires "unread-expires"
        "The topic deletes the message that the group reads next before the group has come to it."
    MessageBytes "message-bytes"
        "A message that the topic takes is too large to be dead-lettered: when one is rejected, the pipeline is held."
    OffsetRetention "offset-retention"
        "A group that is down for longer is forgotten, and starts as if it had never read: at `start`."
    PositionOutOfRange "position-out-of-range"
        "The messages between are gone, and `out_of_range` decides whether the pipeline stops or jumps."
    GroupWithoutMembers "group-without-members"
        "Nobody reads what comes in."
    ForeignMember "foreign-member"
        "What another program takes from the topic in this group is never written by tidegate, and counts as read."
    CommitLogAhead "commit-log-ahead"
        "The group was set back by hand: readers downstream are told that rows are written which are going to be written again."
    CommitLogBehind "commit-log-behind"
        "A record was lost: readers downstream wait for rows that are written."
    TableMissing "table-missing"
        "The pipeline does not start."
    TableEngine "table-engine"
        "What is acknowledged there is not kept."
    DeduplicationOff "deduplication-off"
        "A batch whose answer was lost is sent again, and its rows are there twice."
    DeduplicationWindow "deduplication-window"
        "A batch that is sent again after an outage is not recognised any more, and its rows are there twice."
    UserReadonly "user-readonly"
        "Every insert is refused."
    Grants "grants"
        "Every insert is refused."
    SettingLocked "setting-locked"
        "tidegate sends this setting with every insert, and the server refuses the insert because of it."
    AsyncInsert "async-insert"
        "What else this user inserts is acknowledged before it is written, or is put into blocks that no retry can repeat."
    InsertQuorum "insert-quorum"
        "The profile decides how many replicas acknowledge an insert, and what it asks for does not go with how tidegate writes."
    PreferLocalhostReplica "prefer-localhost-replica"
        "The host that is asked prefers itself to the first replica, so that reads in order may miss what was just written."
    UserLimits "user-limits"
        "The server ends an insert that is larger or slower than the user may have, and it is tried again for ever."
    PartitionsPerBlock "partitions-per-block"
        "A batch that falls into more partitions of the table is refused as a whole, and the pipeline is held."
    PartsNearLimit "parts-near-limit"
        "At the limit ClickHouse slows inserts down, and then refuses them until merges have caught up."
    ReplicaReadonly "replica-readonly"
        "The replica takes no inserts: it has lost its keeper, or what it had there."
    ReplicaDown "replica-down"
        "With the next replica to fail the rows that only it has cannot be read, and a quorum cannot be had."
    ReplicaLag "replica-lag"
        "Who reads from this replica does not see what was written."
    MutationStuck "mutation-stuck"
        "Parts that wait for a mutation are not merged as they should, and the mutations behind it wait too."
    InsertsSlow "inserts-slow"
        "An insert that takes longer than `timeout` is given up and sent again while the first may still be at work."
    DiskFull "disk-full"
        "Without space ClickHouse takes no rows and merges none."
    ClockSkew "clock-skew"
        "Retention, TTL and delays are reckoned with the clocks of several machines, and do not mean what they say."
    DrainTimeout "drain-timeout"
        "The group gives a member up that drains for longer; what it has not committed by then is written once more elsewhere."
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

impl Mend {
    pub fn is_safe(&self) -> bool {
        !matches!(self, Mend::ByHand(_))
    }
}

impl fmt::Display for Mend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mend::Topic { bootstrap, topic, name, value } => {
                write!(f, "{}", configured(bootstrap, topic, &format!("{name}={value}")))
            }
            Mend::Table { table, name, value, .. } => write!(f, "ALTER TABLE {table} MODIFY SETTING {name} = {value}"),
            Mend::ByHand(text) => f.write_str(text),
        }
    }
}

/// The command that sets a topic's configuration.
pub fn configured(bootstrap: &str, topic: &str, setting: &str) -> String {
    format!(
        "kafka-configs.sh --bootstrap-server {bootstrap} --alter --entity-type topics --entity-name {topic} \
         --add-config {setting}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_a_name_of_its_own_and_a_reason() {
        let mut ids: Vec<_> = Check::ALL.iter().map(|check| check.id()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), Check::ALL.len());
        assert!(Check::ALL.iter().all(|check| check.why().ends_with('.')));
    }

    #[test]
    fn only_what_takes_nothing_away_is_safe() {
        let bootstrap = "kafka:9092".to_owned();
        let mend = Mend::Topic { bootstrap, topic: "log".into(), name: "cleanup.policy", value: "compact".into() };
        assert!(mend.is_safe());
        assert!(mend.to_string().ends_with("--entity-name log --add-config cleanup.policy=compact"), "{mend}");
        assert!(!Mend::ByHand("DROP TABLE t".into()).is_safe());
    }

    #[test]
    fn every_check_is_in_the_documentation() {
        let text = include_str!("../../../docs/doctor.md");
        let rows: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).collect();
        let documented: Vec<_> = rows.iter().map(|(id, _)| *id).collect();
        let checks: Vec<_> = Check::ALL.iter().map(|check| check.id()).collect();
        assert_eq!(documented, checks);
    }
}
