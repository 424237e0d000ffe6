//! Looks at the brokers, topics, groups and commit logs of a configuration. Blocks.

use std::collections::BTreeMap;
use std::time::Duration;

use super::finding::{Check, Finding, Mend, Severity};
use super::groups::{Progress, Reader};
use super::topics::{Kind, Surroundings, Use};
use super::{Seen, hosts, not_looked_at, topics};
use crate::clock::now_ms;
use crate::commit_log::Record;
use crate::config::{Config, Pipeline};
use crate::kafka::sight::{Group, Position, Sight, Topic};
use crate::kafka::{self, Brokers, Tail};
use crate::start;

/// What was found, and who writes.
#[derive(Default)]
pub(super) struct Looked {
    pub findings: Vec<Finding>,
    pub seen: Seen,
    /// Members of each group on each topic.
    pub members: BTreeMap<(String, String), u64>,
}

/// The epoch and position of each topic, partition and group of a commit log.
type Said = BTreeMap<(String, i32, String), (u64, i64)>;

/// After a commit its record is on the way.
const RECORD_ON_ITS_WAY: Duration = Duration::from_secs(2);

/// What is at hand while looking.
struct Look<'a> {
    config: &'a Config,
    brokers: Brokers,
    sight: Sight,
    around: Surroundings<'a>,
    topics: BTreeMap<String, Topic>,
    looked: Looked,
}

pub(super) fn look(config: &Config, worst_outage: Duration) -> Looked {
    let brokers = start::brokers(config);
    let bootstrap = config.kafka.brokers.as_str();
    let opened = Sight::new(&brokers).and_then(|sight| Ok((sight.cluster()?, sight)));
    let (cluster, sight) = match opened {
        Ok(opened) => opened,
        Err(cause) => {
            let object = format!("brokers {bootstrap}");
            let mend = Mend::ByHand("start them, or correct kafka.brokers and kafka.properties".into());
            let (check, severity) = (Check::Unreachable, Severity::Error);
            let finding = Finding { check, severity, object, found: cause, mend };
            return Looked { findings: vec![finding], ..Looked::default() };
        }
    };
    let around = Surroundings { bootstrap, brokers: cluster.brokers, worst_outage };
    let mut look = Look { config, brokers, sight, around, topics: BTreeMap::new(), looked: Looked::default() };
    look.looked.findings.extend(topics::brokers(&cluster, &look.around));
    look.at_topics();
    for reader in config.readers() {
        let readers: Vec<_> = reader.into_iter().map(|name| (name, &config.pipelines.value[name])).collect();
        look.at_group(&readers);
    }
    look.at_clock();
    look.looked
}

impl Look<'_> {
    fn at_topics(&mut self) {
        let uses = uses(self.config);
        let mut found = Vec::new();
        for used in &uses {
            match self.sight.topic(&used.topic) {
                Ok(Some(topic)) => drop(self.topics.insert(used.topic.clone(), topic)),
                Ok(None) => found.push(used.missing(&self.around)),
                Err(cause) => {
                    let mend = format!("allow DESCRIBE on topic {} to the user of tidegate", used.topic);
                    found.push(not_looked_at(format!("topic {}", used.topic), &cause, &mend));
                }
            }
        }
        for used in &uses {
            let Some(topic) = self.topics.get(&used.topic) else { continue };
            let of = self.topics.get(&used.of).and_then(|topic| topic.settings.as_ref().ok());
            found.extend(used.check(topic, of, &self.around));
        }
        self.looked.seen.topics = self.topics.len();
        self.looked.findings.extend(found);
    }

    /// Pipelines that read a topic together.
    fn at_group(&mut self, pipelines: &[(&str, &Pipeline)]) {
        let (_, first) = pipelines[0];
        let (group, name) = (first.group.as_str(), first.topic.value.as_str());
        let Some(topic) = self.topics.get(name) else { return };
        let seen = match self.sight.group(group, topic) {
            Ok(seen) => seen,
            Err(cause) => {
                let mend = format!("allow DESCRIBE on group {group} to the user of tidegate");
                return self.looked.findings.push(not_looked_at(format!("group {group}"), &cause, &mend));
            }
        };
        let client_id = self.config.kafka.properties.get("client.id").map(|property| property.value.value());
        let client_id = client_id.as_ref().map_or(CLIENT_ID, |id| id.expose());
        let bootstrap = self.around.bootstrap;
        let retention = topic.settings.as_ref().ok().and_then(topics::retention);
        let reader = Reader { bootstrap, group, topic: name, client_id, retention };
        let unread: Vec<_> = seen.partitions.iter().filter_map(next_unread).collect();
        let mut found = reader.check(&seen, &self.sight.times(name, &unread), now_ms());
        found.extend(self.at_commit_logs(&reader, pipelines, topic, &seen));
        self.looked.seen.groups += 1;
        self.looked.findings.extend(found);
        let members = seen.members.map_or(0, |members| members.len() as u64);
        self.looked.members.insert((group.to_owned(), name.to_owned()), members);
    }

    fn at_commit_logs(
        &self,
        reader: &Reader<'_>,
        pipelines: &[(&str, &Pipeline)],
        topic: &Topic,
        before: &Group,
    ) -> Vec<Finding> {
        let mut found = Vec::new();
        for &(name, pipeline) in pipelines {
            let Some(log) =
                pipeline.commit_log.as_ref().filter(|log| self.topics.contains_key(log.topic.value.as_str()))
            else {
                continue;
            };
            let (log, heartbeat) = (log.topic.value.as_str(), log.heartbeat.0);
            let of_log = pipeline.group_in_commit_log();
            match self.progress(reader, (name, of_log), (log, heartbeat), topic, before) {
                Ok(progress) => {
                    let is_read = before.members.as_ref().is_ok_and(|members| !members.is_empty());
                    found.extend(reader.check_commit_log(log, of_log, is_read, &progress));
                }
                Err(cause) => {
                    let mend = format!("allow READ on topic {log} to the user of tidegate");
                    found.push(not_looked_at(format!("commit log {log}"), &cause, &mend));
                }
            }
        }
        found
    }

    /// What the log says, between two looks at the group. A process at work says a lost record again with the next
    /// heartbeat, so the log is given that time.
    fn progress(
        &self,
        reader: &Reader<'_>,
        (pipeline, of_log): (&str, &str),
        (log, heartbeat): (&str, Duration),
        topic: &Topic,
        before: &Group,
    ) -> Result<Vec<Progress>, String> {
        let mut patience = match &before.members {
            Ok(members) if !members.is_empty() => vec![heartbeat + RECORD_ON_ITS_WAY],
            _ => Vec::new(),
        };
        loop {
            let said = said(&self.brokers, log)?;
            let after = self.sight.group(reader.group, topic)?;
            let one = |(before, after): (&Position, &Position)| {
                let key = (reader.topic.to_owned(), before.number, of_log.to_owned());
                Progress {
                    partition: before.number,
                    committed_before: place_of(before, pipeline),
                    said: said.get(&key).map(|(_, position)| *position),
                    committed_after: place_of(after, pipeline),
                }
            };
            let progress: Vec<_> = before.partitions.iter().zip(&after.partitions).map(one).collect();
            match patience.pop().filter(|_| progress.iter().any(|progress| progress.behind().is_some())) {
                Some(wait) => std::thread::sleep(wait),
                None => return Ok(progress),
            }
        }
    }

    /// The brokers' clock is seen in what they have stamped themselves.
    fn at_clock(&mut self) {
        let mut newest_ms = None;
        for pipeline in self.config.pipelines.value.values() {
            let Some(topic) = self.topics.get(pipeline.topic.value.as_str()) else { continue };
            let stamped = |settings: &kafka::sight::Settings| {
                settings.get("message.timestamp.type").is_some_and(|kind| kind == "LogAppendTime")
            };
            if topic.settings.as_ref().is_ok_and(stamped)
                && let Ok(group) = self.sight.group(pipeline.group.as_str(), topic)
            {
                let last = group.partitions.iter().filter(|position| position.end > position.low);
                let last: Vec<_> = last.map(|position| (position.number, position.end - 1)).collect();
                newest_ms = newest_ms.max(self.sight.times(&topic.name, &last).into_values().max());
            }
        }
        self.looked.findings.push(hosts::clock_of_brokers(self.around.bootstrap, newest_ms, now_ms()));
    }
}

/// By which brokers know us, unless the configuration says otherwise.
const CLIENT_ID: &str = "tidegate";

fn uses(config: &Config) -> Vec<Use> {
    let mut uses = Vec::new();
    for pipeline in config.pipelines.value.values() {
        let source = pipeline.topic.value.0.clone();
        uses.push(Use { topic: source.clone(), kind: Kind::Source, of: String::new() });
        for (what, topic) in pipeline.writes() {
            let kind = match what {
                "commit log" => Kind::CommitLog,
                "replacements" => Kind::Replacements,
                _ => Kind::DeadLetters,
            };
            uses.push(Use { topic: topic.to_owned(), kind, of: source.clone() });
        }
    }
    let control = config.control.as_ref().map(|control| control.topic.value.0.clone());
    uses.extend(control.map(|topic| Use { topic, kind: Kind::Control, of: String::new() }));
    uses.sort();
    uses.dedup();
    uses
}

fn place_of(position: &Position, pipeline: &str) -> Option<i64> {
    position.places.get(pipeline).copied().or(position.committed)
}

/// The message that the group reads next, where there is one.
fn next_unread(position: &Position) -> Option<(i32, i64)> {
    let next = position.committed?.max(position.low);
    (next < position.end).then_some((position.number, next))
}

/// A record of a lower epoch, or of a lower position in the same, says nothing any more.
fn said(brokers: &Brokers, log: &str) -> Result<Said, String> {
    let mut said = Said::new();
    let what = Tail { topic: log.to_owned(), from_beginning: true, follow: false };
    let read = kafka::tail(brokers, &what, |seen| {
        if let kafka::Seen::Message { key, value: Some(value), time, .. } = seen
            && let Ok(Record { topic, partition, group, offset, epoch, .. }) = Record::decode(key, value, time)
        {
            let place = said.entry((topic, partition, group)).or_default();
            *place = (*place).max((epoch, offset));
        }
        true
    });
    read.map_err(|error| error.to_string())?;
    Ok(said)
}
