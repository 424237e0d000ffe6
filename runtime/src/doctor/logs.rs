//! What commit logs say of the groups that write them, read between two looks at the groups. Blocks.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_commit_log::Key;

use super::finding::Finding;
use super::groups::Progress;
use super::not_looked_at;
use crate::config::Pipeline;
use crate::kafka::sight::{Group, Position, Sight, Topic};
use crate::kafka::{Brokers, topic_id};
use crate::verify::{Entry, Last, Ledger};

/// A group on a topic, as it was before any log was read.
pub(super) struct Reading<'a> {
    /// Those that read together.
    pub pipelines: Vec<(&'a str, &'a Pipeline)>,
    pub topic: Topic,
    pub before: Group,
}

/// What a log says of a pipeline.
pub(super) struct Told<'a> {
    pub reading: &'a Reading<'a>,
    pub log: &'a str,
    /// The group's name in the log.
    pub name: &'a str,
    /// Or what could not be looked at.
    pub progress: Result<Vec<Progress>, Box<Finding>>,
    heartbeat: Duration,
}

/// After a commit its record is on the way.
const RECORD_ON_ITS_WAY: Duration = Duration::from_secs(2);

/// Each log is read once, those that are not there are passed over. A process at work says a lost record again with the next
/// heartbeat: where one is missing, all are given that time.
pub(super) fn told<'a>(
    brokers: &Brokers,
    sight: &Sight,
    readings: &'a [Reading<'a>],
    is_there: impl Fn(&str) -> bool,
) -> Vec<Told<'a>> {
    let told = read(brokers, sight, readings, &is_there);
    let Some(heartbeat) = told.iter().filter(|told| told.may_come()).map(|told| told.heartbeat).max() else {
        return told;
    };
    std::thread::sleep(heartbeat + RECORD_ON_ITS_WAY);
    read(brokers, sight, readings, &is_there)
}

fn read<'a>(
    brokers: &Brokers,
    sight: &Sight,
    readings: &'a [Reading<'a>],
    is_there: &impl Fn(&str) -> bool,
) -> Vec<Told<'a>> {
    let logs = readings.iter().flat_map(Reading::logs).map(|(_, log, ..)| log).filter(|log| is_there(log));
    let mut ledgers: BTreeMap<&str, Result<Ledger<Last>, Box<Finding>>> = BTreeMap::new();
    for log in logs {
        ledgers.entry(log).or_insert_with(|| {
            Ledger::read(brokers, log).map_err(|error| {
                let mend = format!("allow READ on topic {log} to the user of tidegate");
                Box::new(not_looked_at(format!("commit log {log}"), &error.to_string(), &mend))
            })
        });
    }
    let of_group = |reading: &'a Reading<'a>| {
        let logs: Vec<_> = reading.logs().filter(|(_, log, ..)| ledgers.contains_key(log)).collect();
        if logs.is_empty() {
            return Vec::new();
        }
        let now = reading.now(brokers, sight);
        let told = logs.into_iter().map(|(pipeline, log, name, heartbeat)| {
            let known = ledgers[log].as_ref().and_then(|ledger| Ok((ledger, now.as_ref()?)));
            let progress = known.map(|(ledger, (after, id))| {
                reading.progress((pipeline, name), ledger, &after.partitions, id.as_deref())
            });
            Told { reading, log, name, progress: progress.map_err(Clone::clone), heartbeat }
        });
        told.collect()
    };
    readings.iter().flat_map(of_group).collect()
}

impl<'a> Reading<'a> {
    fn group(&self) -> &'a str {
        self.pipelines[0].1.group.as_str()
    }

    pub fn is_running(&self) -> bool {
        self.before.members.as_ref().is_ok_and(|members| !members.is_empty())
    }

    /// Of each pipeline that has one: its own name, the log, its name in the log, the log's heartbeat.
    fn logs(&self) -> impl Iterator<Item = (&'a str, &'a str, &'a str, Duration)> {
        self.pipelines.iter().filter_map(|(name, pipeline)| {
            let log = pipeline.commit_log.as_ref()?;
            Some((*name, log.topic.value.as_str(), pipeline.group_in_commit_log(), log.heartbeat.0))
        })
    }

    /// Where the group is now, and which topic it reads.
    fn now(&self, brokers: &Brokers, sight: &Sight) -> Result<(Group, Option<String>), Box<Finding>> {
        let failed = |what: &str, name: &str, cause: &str| {
            let mend = format!("allow DESCRIBE on {what} {name} to the user of tidegate");
            Box::new(not_looked_at(format!("{what} {name}"), cause, &mend))
        };
        let (group, topic) = (self.group(), self.topic.name.as_str());
        let after = sight.group(group, &self.topic).map_err(|cause| failed("group", group, &cause))?;
        let id = topic_id(brokers, topic).map_err(|error| failed("topic", topic, &error.to_string()))?;
        Ok((after, id))
    }

    /// Of a pipeline and its name in the log. Records of an earlier topic of this name say nothing of it.
    fn progress(
        &self,
        (pipeline, name): (&str, &str),
        ledger: &Ledger<Last>,
        after: &[Position],
        id: Option<&str>,
    ) -> Vec<Progress> {
        let one = |(before, after): (&Position, &Position)| {
            let key = Key { topic: self.topic.name.clone(), partition: before.number, group: name.to_owned() };
            let last = ledger.choose(&key, id).account.and_then(Entry::last);
            Progress {
                partition: before.number,
                committed_before: place_of(before, pipeline),
                said: last.map(|last| last.position),
                committed_after: place_of(after, pipeline),
            }
        };
        self.before.partitions.iter().zip(after).map(one).collect()
    }
}

impl Told<'_> {
    /// A record is missing, and somebody is there who could write it.
    fn may_come(&self) -> bool {
        let is_behind = |progress: &Vec<Progress>| progress.iter().any(|progress| progress.behind().is_some());
        self.reading.is_running() && self.progress.as_ref().is_ok_and(is_behind)
    }
}

fn place_of(position: &Position, pipeline: &str) -> Option<i64> {
    position.places.get(pipeline).copied().or(position.committed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::Message;

    #[test]
    fn records_of_an_earlier_topic_say_nothing_of_this_one() {
        let mut ledger = Ledger::default();
        let mut say = |offset, value: &str| {
            let (key, value) = (b"t:0:g".as_slice(), Some(value.as_bytes()));
            ledger.take(&Message { partition: 0, offset, timestamp_ms: None, key, value, time: None });
        };
        say(0, r#"{"offset":90,"topic_id":"earlier"}"#);
        say(1, r#"{"offset":7,"epoch":1,"topic_id":"present"}"#);
        say(2, r#"{"offset":95,"topic_id":"earlier"}"#);
        let partitions = vec![Position { number: 0, end: 9, committed: Some(7), ..Position::default() }];
        let topic = Topic { name: "t".into(), partitions: Vec::new(), settings: Ok(BTreeMap::new()) };
        let before = Group { members: Ok(Vec::new()), partitions: partitions.clone() };
        let reading = Reading { pipelines: Vec::new(), topic, before };
        let said = |id| reading.progress(("p", "g"), &ledger, &partitions, id)[0].said;
        assert_eq!([said(Some("present")), said(Some("newest")), said(None)], [Some(7), None, Some(7)]);
    }
}
