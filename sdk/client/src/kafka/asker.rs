//! Answers the questions of the machines: what a group has committed, and which id a topic has. One thread, because the
//! calls block; a group is asked without being joined.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tidegate_commit_log::Key;
use tokio::sync::oneshot;

use super::{REQUEST_TIMEOUT, observer, topic_id};
use crate::gate::Fact;

/// Takes facts. False when nobody listens any more.
pub(super) type Listener = Arc<dyn Fn(&Fact) -> bool + Send + Sync>;

pub(super) enum Question {
    /// Always answered, if only by [`Fact::AskFailed`].
    Committed { key: Key, listener: Listener },
    /// Answered if the broker knows.
    Topic { name: String, listener: Listener },
    /// Always answered: the id, none if the broker knows of no ids, or why it is not known.
    TopicId { name: String, answer: oneshot::Sender<Result<Option<String>, String>> },
}

struct Asker {
    kafka: ClientConfig,
    /// A client for each group; groups are few.
    groups: BTreeMap<String, BaseConsumer>,
}

/// Starts the thread. It ends when nobody can ask any more.
pub(super) fn start(kafka: ClientConfig) -> std::io::Result<Sender<Question>> {
    let (sender, questions) = channel();
    let asker = Asker { kafka, groups: BTreeMap::new() };
    std::thread::Builder::new().name("commit-log-asker".into()).spawn(move || asker.run(questions))?;
    Ok(sender)
}

impl Asker {
    /// What has come meanwhile is asked at once, a request for each group.
    fn run(mut self, questions: Receiver<Question>) {
        while let Ok(first) = questions.recv() {
            let mut groups: BTreeMap<String, Vec<(Key, Listener)>> = BTreeMap::new();
            for question in std::iter::once(first).chain(questions.try_iter()) {
                match question {
                    Question::Committed { key, listener } => {
                        groups.entry(key.group.clone()).or_default().push((key, listener));
                    }
                    Question::Topic { name, listener } => self.describe(name, &listener),
                    // Who asked may have given up.
                    Question::TopicId { name, answer } => drop(answer.send(self.topic_id(&name))),
                }
            }
            for (group, asked) in groups {
                self.ask(&group, asked);
            }
        }
    }

    fn client(&mut self, group: &str) -> KafkaResult<&BaseConsumer> {
        if !self.groups.contains_key(group) {
            let client = observer(&self.kafka, group).create()?;
            self.groups.insert(group.to_owned(), client);
        }
        Ok(&self.groups[group])
    }

    fn ask(&mut self, group: &str, asked: Vec<(Key, Listener)>) {
        let committed = self.committed(group, &asked);
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

    fn committed(&mut self, group: &str, asked: &[(Key, Listener)]) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for (key, _) in asked {
            list.add_partition(&key.topic, key.partition);
        }
        self.client(group)?.committed_offsets(list, REQUEST_TIMEOUT)
    }

    fn describe(&mut self, name: String, listener: &Listener) {
        match self.topic_id(&name) {
            Ok(Some(id)) => {
                listener(&Fact::Topic { name, id });
            }
            Ok(None) => tracing::warn!(topic = name, "the broker knows of no ids of topics"),
            Err(error) => tracing::warn!(topic = name, error, "the broker did not say which id the topic has"),
        }
    }

    fn topic_id(&mut self, name: &str) -> Result<Option<String>, String> {
        let client = self.client(super::log_reader::GROUP).map_err(|error| error.to_string())?;
        topic_id::topic_id(client, name, REQUEST_TIMEOUT)
    }
}
