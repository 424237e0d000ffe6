//! Where the pipelines of a configuration are, by Kafka and by their commit logs: gathered for the commands that look at it.

use std::collections::BTreeMap;

use tidegate_commit_log::Key;

use super::Failure;
use crate::config::{Config, Pipeline};
use crate::kafka::{Brokers, Bystander, Member, Standing, topic_id};
use crate::offset::Partition;
use crate::start::brokers;
use crate::verify::{Account, Chosen, Ledger, Subject};

/// A pipeline, its group in Kafka and its commit log.
pub struct Place<'a> {
    pub name: &'a str,
    pub pipeline: &'a Pipeline,
    pub members: Vec<Member>,
    pub standings: Vec<Standing>,
    /// None for a pipeline without a commit log.
    ledger: Option<&'a Ledger>,
    pub topic_id: Option<String>,
}

/// The commit logs of a configuration, by topic.
pub type Ledgers = BTreeMap<String, Ledger>;

/// The pipelines that are asked for.
///
/// # Errors
/// If there is none of this name.
pub fn pipelines<'a>(config: &'a Config, name: Option<&str>) -> Result<Vec<(&'a str, &'a Pipeline)>, Failure> {
    let all = config.pipelines.value.iter().map(|(name, pipeline)| (name.as_str(), pipeline));
    let chosen: Vec<_> = all.filter(|(known, _)| name.is_none_or(|name| name == *known)).collect();
    if chosen.is_empty() {
        let known: Vec<_> = config.pipelines.value.keys().map(String::as_str).collect();
        let name = name.unwrap_or_default();
        return Err(Failure::Usage(format!("there is no pipeline {name:?}\n\nhint: known are {}", known.join(", "))));
    }
    Ok(chosen)
}

/// Reads the commit logs of these pipelines to the ends that are there now.
///
/// # Errors
/// If one cannot be read.
pub fn ledgers(brokers: &Brokers, pipelines: &[(&str, &Pipeline)]) -> Result<Ledgers, Failure> {
    let mut ledgers = Ledgers::new();
    for log in pipelines.iter().filter_map(|(_, pipeline)| pipeline.commit_log.as_ref()) {
        let topic = log.topic.value.as_str();
        if !ledgers.contains_key(topic) {
            ledgers.insert(topic.to_owned(), ledger(brokers, topic)?);
        }
    }
    Ok(ledgers)
}

fn ledger(brokers: &Brokers, topic: &str) -> Result<Ledger, Failure> {
    let ledger = Ledger::read(brokers, topic).map_err(|error| Failure::Unreachable(error.to_string()))?;
    if ledger.unreadable > 0 {
        let messages = ledger.unreadable;
        tracing::warn!(topic, messages, "messages that are no commit-log records were passed over");
    }
    Ok(ledger)
}

impl<'a> Place<'a> {
    /// Asks Kafka; the logs must be read by then, so that nothing they say is later than what is committed.
    ///
    /// # Errors
    /// If no broker answers, or there is no such topic.
    pub fn of(
        config: &Config,
        (name, pipeline): (&'a str, &'a Pipeline),
        ledgers: &'a Ledgers,
    ) -> Result<Self, Failure> {
        let brokers = brokers(config);
        let bystander = Bystander::new(&brokers, pipeline.group.as_str())?;
        let topic = pipeline.topic.value.as_str();
        let (standings, members) = (bystander.standings(topic)?, bystander.members()?);
        let ledger = pipeline.commit_log.as_ref().and_then(|log| ledgers.get(log.topic.value.as_str()));
        Ok(Self { name, pipeline, members, standings, ledger, topic_id: topic_id(&brokers, topic)? })
    }

    pub fn topic(&self) -> &str {
        self.pipeline.topic.value.as_str()
    }

    pub fn partition(&self, number: i32) -> Partition {
        Partition::new(self.topic(), number)
    }

    pub fn key(&self, number: i32) -> Key {
        let group = self.pipeline.group_in_commit_log().to_owned();
        Key { topic: self.topic().to_owned(), partition: number, group }
    }

    /// How far the pipeline has committed, which shares its group with others perhaps.
    pub fn committed(&self, standing: &Standing) -> Option<i64> {
        standing.committed.as_ref().map(|last| last.place_of(self.name).position)
    }

    /// What the log says of a partition; none without a log.
    pub fn chosen(&self, number: i32) -> Option<Chosen<'_>> {
        Some(self.ledger?.choose(&self.key(number), self.topic_id.as_deref()))
    }

    pub fn account(&self, number: i32) -> Option<&Account> {
        self.chosen(number)?.account
    }

    pub fn subjects(&self) -> impl Iterator<Item = Subject> {
        self.standings.iter().filter_map(|standing| {
            let chosen = self.chosen(standing.number)?;
            let others = chosen.others.iter().map(|(id, end)| (id.map(str::to_owned), *end));
            Some(Subject {
                partition: self.partition(standing.number),
                account: chosen.account.cloned(),
                others: others.collect(),
                has: standing.has,
                committed: self.committed(standing),
                is_running: !self.members.is_empty(),
            })
        })
    }
}

/// `tidegate from /10.0.0.7`
pub fn named(members: &[Member]) -> String {
    members.iter().map(|member| format!("{} from {}", member.client_id, member.host)).collect::<Vec<_>>().join(", ")
}

pub fn member_json(member: &Member) -> serde_json::Value {
    serde_json::json!({ "client": member.client_id, "host": member.host })
}

/// A number, or `-` for none.
pub fn or_dash<T: ToString>(number: Option<T>) -> String {
    number.map_or("-".to_owned(), |number| number.to_string())
}
