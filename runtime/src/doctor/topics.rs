//! What is wrong with topics and brokers, from what was seen of them.

use std::time::Duration;

use super::finding::{Check, Finding, Mend, Severity, configured};
use super::text;
use crate::kafka::sight::{Cluster, Settings, Topic};

/// What a topic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Source,
    CommitLog,
    Replacements,
    DeadLetters,
    Control,
}

/// A topic of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    pub topic: String,
    pub kind: Kind,
    /// Where its messages come from: the topic whose messages dead letters are.
    pub of: String,
}

/// What all checks of topics need to know.
#[derive(Clone, Debug)]
pub struct Surroundings<'a> {
    pub bootstrap: &'a str,
    pub brokers: usize,
    pub worst_outage: Duration,
}

/// A topic that is compacted as few as this share of it is new is never compacted in practice.
const DIRTY_RATIO_MAX: f64 = 0.9;
/// A follower that loads the log for longer than this misses that a key was deleted.
const DELETE_RETENTION_MIN: Duration = Duration::from_secs(600);
const COMPACTION_LAG_MAX: Duration = Duration::from_secs(86_400);
/// What a letter has in its headers besides the message.
const HEADERS_BYTES: u64 = 16 << 10;

impl Use {
    fn object(&self) -> String {
        format!("topic {}", self.topic)
    }

    fn finding(&self, check: Check, severity: Severity, found: String, mend: Mend) -> Finding {
        Finding { check, severity, object: self.object(), found, mend }
    }

    pub fn missing(&self, around: &Surroundings<'_>) -> Finding {
        let (topic, bootstrap) = (&self.topic, around.bootstrap);
        let compact = matches!(self.kind, Kind::CommitLog | Kind::Control);
        let policy = if compact { " --config cleanup.policy=compact" } else { "" };
        let (partitions, replicas) = (if compact { 1 } else { around.brokers.max(1) }, around.brokers.clamp(1, 3));
        let command = format!(
            "kafka-topics.sh --bootstrap-server {bootstrap} --create --topic {topic} --partitions {partitions} \
             --replication-factor {replicas}{policy}"
        );
        self.finding(Check::TopicMissing, Severity::Error, self.kind.missing().into(), Mend::ByHand(command))
    }

    /// Every check of one topic. `of` are the settings of the topic whose messages come here.
    pub fn check(&self, topic: &Topic, of: Option<&Settings>, around: &Surroundings<'_>) -> Vec<Finding> {
        let mut found = vec![self.partitions_down(topic), self.replication(topic, around)];
        match &topic.settings {
            Err(cause) => found.push(Some(super::not_looked_at(
                self.object(),
                &format!("its settings are not told: {cause}"),
                &format!("allow DESCRIBE_CONFIGS on topic {} to the user of tidegate", self.topic),
            ))),
            Ok(settings) => {
                found.push(self.min_insync(topic, settings, around));
                found.push(self.compacted(settings, around));
                found.push(self.commit_log_cleanup(settings, around));
                found.push(self.commit_log_compaction(settings, around));
                found.push(self.retention(settings, around));
                found.push(self.retention_by_size(settings, around));
                found.push(self.message_bytes(settings, of, around));
            }
        }
        found.into_iter().flatten().collect()
    }

    fn partitions_down(&self, topic: &Topic) -> Option<Finding> {
        let headless: Vec<_> = topic.partitions.iter().filter(|p| !p.has_leader).map(|p| p.number).collect();
        let behind: Vec<_> = topic.partitions.iter().filter(|p| p.in_sync < p.all).map(|p| p.number).collect();
        let mend = Mend::ByHand("start the brokers that are down, or see why they are behind".into());
        if !headless.is_empty() {
            let text = format!("no leader for partitions {headless:?}");
            return Some(self.finding(Check::PartitionDown, Severity::Error, text, mend));
        }
        let text = format!("replicas are behind in partitions {behind:?}");
        (!behind.is_empty()).then(|| self.finding(Check::PartitionDown, Severity::Warning, text, mend))
    }

    fn replication(&self, topic: &Topic, around: &Surroundings<'_>) -> Option<Finding> {
        let fewest = topic.partitions.iter().min_by_key(|partition| partition.all)?;
        if fewest.all > 1 || around.brokers < 2 {
            return None;
        }
        let text = format!("partition {} has 1 replica, and there are {} brokers", fewest.number, around.brokers);
        let (bootstrap, topic) = (around.bootstrap, &self.topic);
        let command = format!(
            "kafka-reassign-partitions.sh --bootstrap-server {bootstrap} --execute --reassignment-json-file FILE, with \
             {{\"partitions\":[{{\"topic\":\"{topic}\",\"partition\":{},\"replicas\":[ID, ID, ID]}}, …]}}",
            fewest.number
        );
        Some(self.finding(Check::ReplicationFactor, Severity::Error, text, Mend::ByHand(command)))
    }

    fn min_insync(&self, topic: &Topic, settings: &Settings, around: &Surroundings<'_>) -> Option<Finding> {
        let replicas = topic.partitions.iter().map(|partition| partition.all).min().filter(|all| *all > 1)?;
        let least = number(settings, "min.insync.replicas")? as usize;
        let (severity, wanted) = if least >= replicas {
            (Severity::Error, replicas - 1)
        } else if least < 2 && replicas > 2 {
            (Severity::Warning, 2)
        } else {
            return None;
        };
        let text = format!("min.insync.replicas is {least}, with {replicas} replicas");
        let mend = configured(around.bootstrap, &self.topic, &format!("min.insync.replicas={wanted}"));
        Some(self.finding(Check::MinInsyncReplicas, severity, text, Mend::ByHand(mend)))
    }

    fn compacted(&self, settings: &Settings, around: &Surroundings<'_>) -> Option<Finding> {
        if matches!(self.kind, Kind::CommitLog | Kind::Control) || !policy(settings).contains("compact") {
            return None;
        }
        let text = format!("cleanup.policy is {}, and these are {}", policy(settings), self.kind.messages());
        let mend = Mend::ByHand(configured(around.bootstrap, &self.topic, "cleanup.policy=delete"));
        Some(self.finding(Check::TopicCompacted, Severity::Error, text, mend))
    }

    fn commit_log_cleanup(&self, settings: &Settings, around: &Surroundings<'_>) -> Option<Finding> {
        if !matches!(self.kind, Kind::CommitLog | Kind::Control) || policy(settings) == "compact" {
            return None;
        }
        let text = format!("cleanup.policy is {}", policy(settings));
        let mend = self.set("cleanup.policy", "compact", around);
        Some(self.finding(Check::CommitLogCleanup, Severity::Error, text, mend))
    }

    fn commit_log_compaction(&self, settings: &Settings, around: &Surroundings<'_>) -> Option<Finding> {
        if self.kind != Kind::CommitLog || !policy(settings).contains("compact") {
            return None;
        }
        let ratio: Option<f64> = settings.get("min.cleanable.dirty.ratio").and_then(|text| text.parse().ok());
        let (what, mend) = if let Some(ratio) = ratio.filter(|ratio| *ratio > DIRTY_RATIO_MAX) {
            let mend = self.set("min.cleanable.dirty.ratio", "0.5", around);
            (format!("min.cleanable.dirty.ratio is {ratio}"), mend)
        } else if let Some(lag) = duration(settings, "min.compaction.lag.ms").filter(|lag| *lag > COMPACTION_LAG_MAX) {
            let mend = self.set("min.compaction.lag.ms", "0", around);
            (format!("min.compaction.lag.ms keeps records uncompacted for {}", text(lag)), mend)
        } else {
            let kept = duration(settings, "delete.retention.ms").filter(|kept| *kept < DELETE_RETENTION_MIN)?;
            let mend = self.set("delete.retention.ms", "86400000", around);
            (format!("delete.retention.ms forgets after {} that a key was deleted", text(kept)), mend)
        };
        Some(self.finding(Check::CommitLogCompaction, Severity::Warning, what, mend))
    }

    fn retention(&self, settings: &Settings, around: &Surroundings<'_>) -> Option<Finding> {
        let kept = retention(settings).filter(|kept| *kept < around.worst_outage)?;
        if self.kind != Kind::Source {
            return None;
        }
        let found =
            format!("messages are kept for {}, and --worst-outage is {}", text(kept), text(around.worst_outage));
        let wanted = format!("retention.ms={}", around.worst_outage.as_millis() * 2);
        let mend = Mend::ByHand(configured(around.bootstrap, &self.topic, &wanted));
        Some(self.finding(Check::RetentionShort, Severity::Error, found, mend))
    }

    fn retention_by_size(&self, settings: &Settings, around: &Surroundings<'_>) -> Option<Finding> {
        let bytes = number(settings, "retention.bytes")?;
        if self.kind != Kind::Source || !policy(settings).contains("delete") {
            return None;
        }
        let found = format!("retention.bytes is {bytes} for each partition");
        let mend = Mend::ByHand(configured(around.bootstrap, &self.topic, "retention.bytes=-1"));
        Some(self.finding(Check::RetentionBySize, Severity::Warning, found, mend))
    }

    fn message_bytes(&self, settings: &Settings, of: Option<&Settings>, around: &Surroundings<'_>) -> Option<Finding> {
        let (here, there) = (number(settings, "max.message.bytes")?, number(of?, "max.message.bytes")?);
        if self.kind != Kind::DeadLetters || here >= there {
            return None;
        }
        let found = format!("max.message.bytes is {here}, and {there} at topic {}", self.of);
        let mend = self.set("max.message.bytes", &(there + HEADERS_BYTES).to_string(), around);
        Some(self.finding(Check::MessageBytes, Severity::Error, found, mend))
    }

    fn set(&self, name: &'static str, value: &str, around: &Surroundings<'_>) -> Mend {
        let (bootstrap, topic) = (around.bootstrap.to_owned(), self.topic.clone());
        Mend::Topic { bootstrap, topic, name, value: value.to_owned() }
    }
}

/// What is wrong with the brokers.
pub fn brokers(cluster: &Cluster, around: &Surroundings<'_>) -> Option<Finding> {
    let object = format!("brokers {}", around.bootstrap);
    let settings = match &cluster.settings {
        Ok(settings) => settings,
        Err(cause) => {
            let what = format!("their settings are not told: {cause}");
            return Some(super::not_looked_at(object, &what, "allow DESCRIBE_CONFIGS on the cluster"));
        }
    };
    let minutes = number(settings, "offsets.retention.minutes")?;
    let kept = Duration::from_secs(minutes * 60);
    let found = format!("offsets.retention.minutes is {minutes}, and --worst-outage is {}", text(around.worst_outage));
    (kept < around.worst_outage).then(|| Finding {
        check: Check::OffsetRetention,
        severity: Severity::Error,
        object,
        found,
        mend: Mend::ByHand(
            "write offsets.retention.minutes=10080 into the brokers' server.properties, and restart them".into(),
        ),
    })
}

impl Kind {
    fn missing(self) -> &'static str {
        match self {
            Kind::Source => "it is not there, and a pipeline reads it",
            Kind::CommitLog => "it is not there, and is to be a commit log",
            Kind::Replacements => "it is not there, and replacements go there",
            Kind::DeadLetters => "it is not there, and dead letters go there",
            Kind::Control => "it is not there, and the processes agree on modules by it",
        }
    }

    fn messages(self) -> &'static str {
        match self {
            Kind::Source => "messages to be read",
            Kind::Replacements => "replacements",
            Kind::DeadLetters => "dead letters",
            Kind::CommitLog | Kind::Control => "records",
        }
    }
}

/// How long the topic keeps messages; none for ever.
pub fn retention(settings: &Settings) -> Option<Duration> {
    duration(settings, "retention.ms").filter(|_| policy(settings).contains("delete"))
}

fn policy(settings: &Settings) -> &str {
    settings.get("cleanup.policy").map_or("delete", String::as_str)
}

/// None where it is not told, or -1, which stands for no limit.
fn number(settings: &Settings, name: &str) -> Option<u64> {
    settings.get(name)?.parse().ok()
}

fn duration(settings: &Settings, name: &str) -> Option<Duration> {
    number(settings, name).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::sight::Replicas;

    const AROUND: Surroundings<'_> =
        Surroundings { bootstrap: "kafka:9092", brokers: 3, worst_outage: Duration::from_secs(3600) };

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let healthy = [
            ("cleanup.policy", "delete"),
            ("retention.ms", "604800000"),
            ("retention.bytes", "-1"),
            ("min.insync.replicas", "2"),
            ("max.message.bytes", "1048588"),
            ("min.cleanable.dirty.ratio", "0.5"),
            ("min.compaction.lag.ms", "0"),
            ("delete.retention.ms", "86400000"),
        ];
        healthy.iter().chain(pairs).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn topic(all: usize, in_sync: usize, pairs: &[(&str, &str)]) -> Topic {
        let partitions = vec![Replicas { number: 0, has_leader: in_sync > 0, all, in_sync }];
        Topic { name: "t".into(), partitions, settings: Ok(settings(pairs)) }
    }

    fn found(kind: Kind, topic: &Topic) -> Vec<(&'static str, &'static str)> {
        let of = settings(&[("max.message.bytes", "2000000")]);
        let used = Use { topic: "t".into(), kind, of: "source".into() };
        let of = (kind == Kind::DeadLetters).then_some(&of);
        used.check(topic, of, &AROUND).iter().map(|found| (found.check.id(), found.severity.as_str())).collect()
    }

    #[test]
    fn healthy_topics_have_no_findings() {
        let log = [("cleanup.policy", "compact")];
        let letters = [("max.message.bytes", "2000000")];
        for (kind, pairs) in
            [(Kind::Source, &[][..]), (Kind::CommitLog, &log), (Kind::DeadLetters, &letters), (Kind::Replacements, &[])]
        {
            assert_eq!(found(kind, &topic(3, 3, pairs)), []);
        }
    }

    #[test]
    fn replicas_that_are_too_few_or_away() {
        assert_eq!(found(Kind::Source, &topic(1, 1, &[])), [("replication-factor", "error")]);
        assert_eq!(found(Kind::Source, &topic(3, 2, &[])), [("partition-down", "warning")]);
        assert_eq!(found(Kind::Source, &topic(3, 0, &[])), [("partition-down", "error")]);
        for (least, severity) in [("3", "error"), ("1", "warning")] {
            let topic = topic(3, 3, &[("min.insync.replicas", least)]);
            assert_eq!(found(Kind::Source, &topic), [("min-insync-replicas", severity)]);
        }
    }

    #[test]
    fn messages_are_not_compacted_and_commit_logs_are() {
        let compact = topic(3, 3, &[("cleanup.policy", "compact"), ("max.message.bytes", "2000000")]);
        for kind in [Kind::Source, Kind::DeadLetters, Kind::Replacements] {
            assert_eq!(found(kind, &compact), [("topic-compacted", "error")], "{kind:?}");
        }
        for policy in ["delete", "compact,delete"] {
            let log = topic(3, 3, &[("cleanup.policy", policy)]);
            assert_eq!(found(Kind::CommitLog, &log), [("commit-log-cleanup", "error")]);
        }
        for never in
            [("min.cleanable.dirty.ratio", "0.99"), ("min.compaction.lag.ms", "90000000"), ("delete.retention.ms", "1")]
        {
            let log = topic(3, 3, &[("cleanup.policy", "compact"), never]);
            assert_eq!(found(Kind::CommitLog, &log), [("commit-log-compaction", "warning")]);
        }
    }

    #[test]
    fn what_is_forgotten_before_it_is_read() {
        assert_eq!(found(Kind::Source, &topic(3, 3, &[("retention.ms", "60000")])), [("retention-too-short", "error")]);
        assert_eq!(found(Kind::Source, &topic(3, 3, &[("retention.ms", "-1")])), []);
        let by_size = topic(3, 3, &[("retention.bytes", "1000000")]);
        assert_eq!(found(Kind::Source, &by_size), [("retention-by-size", "warning")]);
        assert_eq!(found(Kind::Replacements, &by_size), []);
    }

    #[test]
    fn letters_may_be_as_large_as_messages() {
        assert_eq!(found(Kind::DeadLetters, &topic(3, 3, &[])), [("message-bytes", "error")]);
        assert_eq!(found(Kind::Replacements, &topic(3, 3, &[])), []);
    }

    #[test]
    fn what_is_not_told_is_said() {
        let refused = Topic { settings: Err("not authorized".into()), ..topic(3, 3, &[]) };
        assert_eq!(found(Kind::Source, &refused), [("not-looked-at", "warning")]);
        let cluster = |settings| Cluster { brokers: 3, settings };
        let check = |cluster| brokers(&cluster, &AROUND).map(|found| found.check.id());
        assert_eq!(check(cluster(Err("not authorized".into()))), Some("not-looked-at"));
        let minutes = |minutes: &str| Ok([("offsets.retention.minutes".to_owned(), minutes.to_owned())].into());
        assert_eq!(check(cluster(minutes("59"))), Some("offset-retention"));
        assert_eq!(check(cluster(minutes("60"))), None);
    }
}
