//! What can be seen of brokers, topics and groups, for looking after them: nothing is changed, and no group is joined.
//! Everything here blocks.

use std::collections::BTreeMap;

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::MetadataTopic;
use rdkafka::types::RDKafkaErrorCode;
use tokio::runtime::Handle;

use super::admin::{self, Member};
use super::bystander::{Bystander, BystanderError, Standing};
use super::topics::cause;
use super::trouble::Trouble;
use super::{Brokers, REQUEST_TIMEOUT, Role};
use crate::source::LastCommit;

/// Settings in force, by name.
pub type Settings = BTreeMap<String, String>;

/// A topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Topic {
    pub name: String,
    pub partitions: Vec<Replicas>,
    /// Or why they are not told.
    pub settings: Result<Settings, String>,
}

/// Where a partition is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replicas {
    pub number: i32,
    pub has_leader: bool,
    pub all: usize,
    pub in_sync: usize,
}

/// The brokers of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    pub brokers: usize,
    /// Of one of them, or why they are not told.
    pub settings: Result<Settings, String>,
}

/// A group on a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Or why they are not told.
    pub members: Result<Vec<Member>, String>,
    pub partitions: Vec<Position>,
}

/// Where a group is in a partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Position {
    pub number: i32,
    /// What the topic has: `[low, end)`.
    pub low: i64,
    pub end: i64,
    /// None while there is none.
    pub committed: Option<i64>,
    /// Where pipelines of the group are that are not where the group is.
    pub places: BTreeMap<String, i64>,
}

/// A connection to look with.
pub struct Sight {
    brokers: Brokers,
    metadata: BaseConsumer<Trouble>,
    admin: AdminClient<DefaultClientContext>,
}

/// What is only looked at is not made by that.
const NO_NEW_TOPICS: &[(&str, &str)] = &[("allow.auto.create.topics", "false")];

impl Sight {
    /// Must be called where a tokio runtime is at work.
    ///
    /// # Errors
    /// If no client can be made of these settings.
    pub fn new(brokers: &Brokers) -> Result<Self, String> {
        let config = brokers.config(Role::Consumer, NO_NEW_TOPICS);
        let metadata = config.create_with_context(Trouble::new(brokers)).map_err(|error| error.to_string())?;
        let admin = brokers.config(Role::Producer, &[]).create().map_err(|error| error.to_string())?;
        Ok(Self { brokers: brokers.clone(), metadata, admin })
    }

    /// # Errors
    /// If no broker answers.
    pub fn cluster(&self) -> Result<Cluster, String> {
        let metadata = self.metadata.fetch_metadata(None, REQUEST_TIMEOUT / 3);
        let metadata = metadata.map_err(|error| cause(&self.metadata, &error))?;
        let any = metadata.brokers().first().ok_or("the cluster names no broker")?;
        let settings = self.settings(ResourceSpecifier::Broker(any.id()));
        Ok(Cluster { brokers: metadata.brokers().len(), settings })
    }

    /// None when it is not there.
    ///
    /// # Errors
    /// If no broker answers, or none may tell.
    pub fn topic(&self, name: &str) -> Result<Option<Topic>, String> {
        let metadata = self.metadata.fetch_metadata(Some(name), REQUEST_TIMEOUT / 3);
        let metadata = metadata.map_err(|error| error.to_string())?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == name) else { return Ok(None) };
        if let Some(code) = found.error() {
            return match RDKafkaErrorCode::from(code) {
                RDKafkaErrorCode::UnknownTopicOrPartition => Ok(None),
                code => Err(code.to_string()),
            };
        }
        let settings = self.settings(ResourceSpecifier::Topic(name));
        Ok(Some(Topic { name: name.to_owned(), partitions: replicas(found), settings }))
    }

    fn settings(&self, of: ResourceSpecifier<'_>) -> Result<Settings, String> {
        let options = AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT));
        let asked = self.admin.describe_configs([&of], &options);
        let answer = Handle::current().block_on(asked).map_err(|error| error.to_string())?;
        let first = answer.into_iter().next().ok_or("the answer names nothing")?;
        let entries = first.map_err(|code| code.to_string())?.entries;
        Ok(entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect())
    }

    /// Sets one setting of a topic; its others stay as they are.
    ///
    /// # Errors
    /// With the broker's words.
    pub fn set(&self, topic: &str, name: &str, value: &str) -> Result<(), String> {
        // SAFETY: the client lives as long as this.
        unsafe { admin::set(self.admin.inner().native_ptr(), topic, name, value) }
    }

    /// # Errors
    /// If the topic's ends or the group's positions are not told.
    pub fn group(&self, group: &str, topic: &Topic) -> Result<Group, String> {
        let said = |error: BystanderError| error.to_string();
        let bystander = Bystander::new(&self.brokers, group).map_err(said)?;
        let standings = bystander.standings(&topic.name).map_err(said)?;
        let members = bystander.members().map_err(said);
        Ok(Group { members, partitions: standings.iter().map(Position::of).collect() })
    }

    /// When the messages at these offsets, or the first behind them, were written: milliseconds since 1970, by partition.
    /// What cannot be read is left out.
    pub fn times(&self, topic: &str, offsets: &[(i32, i64)]) -> BTreeMap<i32, i64> {
        // A group is needed to be made, not to be joined.
        let read = Bystander::new(&self.brokers, "tidegate-doctor").and_then(|reader| reader.times(topic, offsets));
        read.unwrap_or_default()
    }
}

impl Position {
    fn of(Standing { number, has, committed }: &Standing) -> Self {
        let place = |last: &LastCommit, name: &String| (name.clone(), last.place_of(name).position);
        let places = committed.iter().flat_map(|last| last.note.pipelines.keys().map(move |name| place(last, name)));
        let committed_here = committed.as_ref().map(|last| last.position);
        Self { number: *number, low: has.start, end: has.end, committed: committed_here, places: places.collect() }
    }
}

fn replicas(topic: &MetadataTopic) -> Vec<Replicas> {
    let replicas = topic.partitions().iter().map(|partition| Replicas {
        number: partition.id(),
        has_leader: partition.leader() >= 0,
        all: partition.replicas().len(),
        in_sync: partition.isr().len(),
    });
    let mut replicas: Vec<_> = replicas.collect();
    replicas.sort_by_key(|partition| partition.number);
    replicas
}
