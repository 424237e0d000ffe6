//! Looks at the brokers, topics, groups and commit logs of a configuration. Blocks.

use std::collections::BTreeMap;
use std::time::Duration;

use super::finding::{Check, Finding, Mend, Severity};
use super::groups::{self, Reader};
use super::logs::{self, Reading, Told};
use super::topics::{Kind, Surroundings, Use};
use super::{Seen, hosts, not_looked_at, topics};
use crate::clock::now_ms;
use crate::config::{Config, Pipeline};
use crate::kafka::Brokers;
use crate::kafka::sight::{Position, Sight, Topic};
use crate::start;

/// What was found, and who writes.
#[derive(Default)]
pub(super) struct Looked {
    pub findings: Vec<Finding>,
    pub seen: Seen,
    /// Members of each group on each topic.
    pub members: BTreeMap<(String, String), u64>,
}

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
    let named = |name| config.pipelines.value.get_key_value(name).map(|(name, pipeline)| (name.as_str(), pipeline));
    let readers = config.readers().into_iter().map(|reader| reader.into_iter().filter_map(named).collect());
    let readings: Vec<_> = readers.filter_map(|pipelines| look.at_group(pipelines)).collect();
    look.at_commit_logs(&readings);
    look.at_clock(&readings);
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

    /// Pipelines that read a topic together; none if the topic or the group cannot be looked at.
    fn at_group<'a>(&mut self, pipelines: Vec<(&'a str, &'a Pipeline)>) -> Option<Reading<'a>> {
        let (_, first) = *pipelines.first()?;
        let (group, name) = (first.group.as_str(), first.topic.value.as_str());
        let topic = self.topics.get(name)?;
        let seen = match self.sight.group(group, topic) {
            Ok(seen) => seen,
            Err(cause) => {
                let mend = format!("allow DESCRIBE on group {group} to the user of tidegate");
                self.looked.findings.push(not_looked_at(format!("group {group}"), &cause, &mend));
                return None;
            }
        };
        let client_id = self.config.kafka.properties.get("client.id").map(|property| property.value.value());
        let client_id = client_id.as_ref().map_or(CLIENT_ID, |id| id.expose());
        let bootstrap = self.around.bootstrap;
        let retention = topic.settings.as_ref().ok().and_then(topics::retention);
        let reader = Reader { bootstrap, group, topic: name, client_id, retention };
        let unread: Vec<_> = seen.partitions.iter().filter_map(next_unread).collect();
        self.looked.findings.extend(reader.check(&seen, &self.sight.times(name, &unread), now_ms()));
        self.looked.seen.groups += 1;
        let members = seen.members.as_ref().map_or(0, |members| members.len() as u64);
        self.looked.members.insert((group.to_owned(), name.to_owned()), members);
        Some(Reading { pipelines, topic: topic.clone(), before: seen })
    }

    fn at_commit_logs(&mut self, readings: &[Reading<'_>]) {
        let told = logs::told(&self.brokers, &self.sight, readings, |log| self.topics.contains_key(log));
        for Told { reading, log, name, progress, .. } in told {
            match progress {
                Ok(progress) => {
                    let found =
                        groups::check_commit_log(log, name, &reading.topic.name, reading.is_running(), &progress);
                    self.looked.findings.extend(found);
                }
                Err(finding) => self.looked.findings.push(*finding),
            }
        }
    }

    /// The brokers' clock is seen in what they have stamped themselves.
    fn at_clock(&mut self, readings: &[Reading<'_>]) {
        let is_stamped = |reading: &&Reading<'_>| {
            let settings = reading.topic.settings.as_ref();
            settings.is_ok_and(|all| all.get("message.timestamp.type").is_some_and(|kind| kind == "LogAppendTime"))
        };
        let newest_ms = readings.iter().filter(is_stamped).filter_map(|reading| {
            let last = reading.before.partitions.iter().filter(|position| position.end > position.low);
            let last: Vec<_> = last.map(|position| (position.number, position.end - 1)).collect();
            self.sight.times(&reading.topic.name, &last).into_values().max()
        });
        self.looked.findings.push(hosts::clock_of_brokers(self.around.bootstrap, newest_ms.max(), now_ms()));
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

/// The message that the group reads next, where there is one.
fn next_unread(position: &Position) -> Option<(i32, i64)> {
    let next = position.committed?.max(position.low);
    (next < position.end).then_some((position.number, next))
}
