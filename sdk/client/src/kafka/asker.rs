//! Answers the questions of the machines: what a group has committed, and which id a topic has. The calls block, for seconds
//! while a broker is away; so each group has a thread of its own, and topics have one. A group is asked without being joined.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tidegate_commit_log::Key;
use tokio::sync::oneshot;

use super::{REQUEST_TIMEOUT, observer, topic_id};
use crate::gate::Fact;

/// Takes facts. False when nobody listens any more.
pub(super) type Listener = Arc<dyn Fn(&Fact) -> bool + Send + Sync>;

/// Takes the id of a topic, none if the broker knows of no ids, or why it is not known.
type IdListener = Box<dyn FnOnce(Result<Option<String>, String>) + Send>;

/// Takes questions. The threads end when it is dropped.
pub(super) struct Asker {
    kafka: ClientConfig,
    /// By group; groups are few.
    groups: Mutex<BTreeMap<String, Sender<(Key, Listener)>>>,
    topics: Sender<(String, IdListener)>,
}

impl Asker {
    pub(super) fn start(kafka: ClientConfig) -> std::io::Result<Self> {
        let (topics, asked) = channel();
        let config = kafka.clone();
        std::thread::Builder::new().name("commit-log-ids".into()).spawn(move || describe_all(&config, &asked))?;
        Ok(Self { kafka, groups: Mutex::default(), topics })
    }

    /// What has the group of the key committed? Always answered, if only by [`Fact::AskFailed`].
    pub(super) fn committed(&self, key: Key, listener: Listener) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if !groups.contains_key(&key.group) {
            let (sender, asked) = channel();
            let (config, group) = (self.kafka.clone(), key.group.clone());
            let thread = std::thread::Builder::new().name("commit-log-asks".into());
            if let Err(error) = thread.spawn(move || ask_group(&config, &group, &asked)) {
                tracing::warn!(group = key.group, %error, "no thread could be started to ask the group");
                listener(&Fact::AskFailed(key));
                return;
            }
            groups.insert(key.group.clone(), sender);
        }
        // The thread lives as long as its sender.
        drop(groups[&key.group].send((key, listener)));
    }

    /// Which id has the topic? Told if the broker knows.
    pub(super) fn topic(&self, name: String, listener: Listener) {
        let topic = name.clone();
        self.ask_for_id(
            name,
            Box::new(move |id| match id {
                Ok(Some(id)) => drop(listener(&Fact::Topic { name: topic, id })),
                Ok(None) => tracing::warn!(topic, "the broker knows of no ids of topics"),
                Err(error) => tracing::warn!(topic, error, "the broker did not say which id the topic has"),
            }),
        );
    }

    /// The same, always answered.
    pub(super) fn topic_id(&self, name: String, answer: oneshot::Sender<Result<Option<String>, String>>) {
        // Who asked may have given up.
        self.ask_for_id(name, Box::new(move |id| drop(answer.send(id))));
    }

    fn ask_for_id(&self, name: String, listener: IdListener) {
        // The thread lives as long as its sender.
        drop(self.topics.send((name, listener)));
    }
}

/// What has come meanwhile is asked at once, in one request.
fn ask_group(kafka: &ClientConfig, group: &str, asked: &Receiver<(Key, Listener)>) {
    let mut client = None;
    while let Ok(first) = asked.recv() {
        let asked: Vec<_> = std::iter::once(first).chain(asked.try_iter()).collect();
        let committed = committed(&mut client, kafka, group, &asked);
        if let Err(error) = &committed {
            tracing::warn!(group, %error, "the group could not be asked what it has committed");
        }
        for (key, listener) in asked {
            let answer = committed.as_ref().ok().and_then(|committed| {
                let found = committed.find_partition(&key.topic, key.partition)?;
                found.error().is_ok().then(|| found.offset())
            });
            listener(&match answer {
                Some(Offset::Offset(position)) => Fact::Committed { key, position: Some(position) },
                Some(_) => Fact::Committed { key, position: None },
                None => Fact::AskFailed(key),
            });
        }
    }
}

fn committed(
    client: &mut Option<BaseConsumer>,
    kafka: &ClientConfig,
    group: &str,
    asked: &[(Key, Listener)],
) -> KafkaResult<TopicPartitionList> {
    let client = client_of(client, kafka, group)?;
    let mut list = TopicPartitionList::new();
    for (key, _) in asked {
        list.add_partition(&key.topic, key.partition);
    }
    client.committed_offsets(list, REQUEST_TIMEOUT)
}

fn describe_all(kafka: &ClientConfig, asked: &Receiver<(String, IdListener)>) {
    let mut client = None;
    while let Ok((name, listener)) = asked.recv() {
        listener(described(&mut client, kafka, &name));
    }
}

fn described(client: &mut Option<BaseConsumer>, kafka: &ClientConfig, name: &str) -> Result<Option<String>, String> {
    let client = client_of(client, kafka, super::log_reader::GROUP).map_err(|error| error.to_string())?;
    topic_id::topic_id(client, name, REQUEST_TIMEOUT)
}

/// Made when it is first needed; tried again when it could not be made.
fn client_of<'a>(
    client: &'a mut Option<BaseConsumer>,
    kafka: &ClientConfig,
    group: &str,
) -> KafkaResult<&'a BaseConsumer> {
    match client {
        Some(client) => Ok(client),
        None => Ok(client.insert(observer(kafka, group).create()?)),
    }
}
