//! The commit logs that this process writes, read from their beginnings: one reader for each log, for all pipelines that
//! write it and for all that wait.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidegate_client::{CommitLog, Key, LogSettings};

use super::{Brokers, Role};
use crate::offset::Partition;
use crate::recall::{Recall, RecallError, Recalled};

/// A cheap handle; clones have the same readers.
#[derive(Clone)]
pub struct CommitLogs {
    brokers: Brokers,
    logs: Arc<Mutex<BTreeMap<String, CommitLog>>>,
}

/// After so long without the end of the log somebody is told; reading goes on.
const PATIENCE: Duration = Duration::from_secs(10);

impl CommitLogs {
    pub fn new(brokers: Brokers) -> Self {
        Self { brokers, logs: Arc::default() }
    }

    /// The log of this topic. Reading begins when it is asked for first.
    ///
    /// # Errors
    /// If the client cannot be made of the brokers' settings.
    pub fn of(&self, topic: &str) -> Result<CommitLog, tidegate_client::Error> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = logs.get(topic) {
            return Ok(log.clone());
        }
        // Names in a log need not be those of groups that could be asked; the hosts that write it repeat what is lost.
        let settings = LogSettings { repair: None, ..LogSettings::default() };
        let config = self.brokers.config(Role::Consumer, &[("fetch.wait.max.ms", "100")]);
        let log = CommitLog::start(&config, topic, settings)?;
        logs.insert(topic.to_owned(), log.clone());
        Ok(log)
    }
}

impl Recall for CommitLog {
    async fn recall(&self, group: &str, partitions: &[Partition]) -> Result<Vec<Recalled>, RecallError> {
        match tokio::time::timeout(PATIENCE, self.read_to_end()).await {
            Ok(read) => read.map_err(|error| RecallError::Log(error.to_string()))?,
            Err(_) => {
                let cause = self.status().last_error.unwrap_or_else(|| "there is much to read".to_owned());
                let topic = self.topic();
                let text = format!("failed to read commit log {topic:?} to its end within {PATIENCE:?}: {cause}");
                return Err(RecallError::Log(text));
            }
        }
        let mut ids = BTreeMap::new();
        for Partition { topic, .. } in partitions {
            if !ids.contains_key(topic) {
                let id = self.topic_id(topic).await.map_err(|error| RecallError::Log(error.to_string()))?;
                ids.insert(topic.clone(), id);
            }
        }
        let recalled = |partition: &Partition| Recalled {
            topic_id: ids[&partition.topic].clone(),
            last: self.last(&key(group, partition)),
        };
        Ok(partitions.iter().map(recalled).collect())
    }

    fn epoch(&self, group: &str, partition: &Partition) -> u64 {
        self.last(&key(group, partition)).map_or(0, |record| record.epoch)
    }
}

fn key(group: &str, partition: &Partition) -> Key {
    Key { topic: partition.topic.to_string(), partition: partition.number, group: group.to_owned() }
}
