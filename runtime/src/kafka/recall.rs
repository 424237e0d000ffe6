//! A commit log that this process writes, read by the reader that is there for all that wait.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_client::CommitLog;

use crate::offset::Partition;
use crate::recall::{Recall, RecallError, Recalled};

/// After so long without the end of the log somebody is told; reading goes on.
const PATIENCE: Duration = Duration::from_secs(10);

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
            last: self.last(&partition.key(group)),
        };
        Ok(partitions.iter().map(recalled).collect())
    }

    fn epoch(&self, group: &str, partition: &Partition) -> u64 {
        self.last(&partition.key(group)).map_or(0, |record| record.epoch)
    }
}
