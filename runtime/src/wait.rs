//! Waiting until messages are written: who has to have written them, by the configuration, and the commit logs that say so.
//! For the command line and for the admin port.

use std::time::Duration;

use tidegate_client::Token;

use crate::config::Config;
use crate::kafka::{CommitLogs, Wait, WaitFailed};

/// Those who write, and what they say of it.
#[derive(Default)]
pub struct Waits {
    writers: Vec<Writer>,
    logs: CommitLogs,
}

/// A pipeline with a commit log.
struct Writer {
    topic: String,
    commit_log: String,
    /// Its name in the commit log.
    group: String,
    /// Whether this is the name of a consumer group.
    is_consumer_group: bool,
}

/// Nobody can be waited for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NobodyWrites {
    #[error("no pipeline with a commit log reads topic {topic:?}")]
    Topic { topic: String },
    #[error("no pipeline writes records of group {group:?} for topic {topic:?}\n\nhint: those that do are of {known}")]
    Group { topic: String, group: String, known: String },
    #[error(
        "records for topic {topic:?} are in several commit logs ({logs})\n\nhint: choose groups of one of them: {known}"
    )]
    SeveralLogs { topic: String, logs: String, known: String },
}

impl Waits {
    pub fn of(config: &Config, logs: CommitLogs) -> Self {
        let pipelines = config.pipelines.value.values();
        let writers = pipelines.filter_map(|pipeline| {
            let group = pipeline.group_in_commit_log().to_owned();
            Some(Writer {
                topic: pipeline.topic.value.0.clone(),
                commit_log: pipeline.commit_log.as_ref()?.topic.value.0.clone(),
                is_consumer_group: group == pipeline.group.0,
                group,
            })
        });
        Self { writers: writers.collect(), logs }
    }

    /// What it means to wait for these groups; for all that read the topic, if there are none.
    ///
    /// # Errors
    /// If it means nothing.
    pub fn resolve(&self, token: Token, groups: &[String], timeout: Duration) -> Result<Wait, NobodyWrites> {
        let topic = token.partition.topic.to_string();
        let readers: Vec<_> = self.writers.iter().filter(|writer| writer.topic == topic).collect();
        if readers.is_empty() {
            return Err(NobodyWrites::Topic { topic });
        }
        let known = readers.iter().map(|writer| writer.group.as_str()).collect::<Vec<_>>().join(", ");
        if let Some(group) = groups.iter().find(|group| !readers.iter().any(|writer| writer.group == **group)) {
            return Err(NobodyWrites::Group { topic, group: group.clone(), known });
        }
        let is_waited_for = |writer: &&&Writer| groups.is_empty() || groups.contains(&writer.group);
        let waited: Vec<_> = readers.iter().filter(is_waited_for).collect();
        let mut logs: Vec<_> = waited.iter().map(|writer| writer.commit_log.as_str()).collect();
        logs.sort_unstable();
        logs.dedup();
        let [commit_log] = logs[..] else {
            return Err(NobodyWrites::SeveralLogs { topic, logs: logs.join(", "), known });
        };
        Ok(Wait {
            commit_log: commit_log.to_owned(),
            groups: waited.iter().map(|writer| writer.group.clone()).collect(),
            may_be_asked: waited.iter().all(|writer| writer.is_consumer_group),
            timeout,
            token,
        })
    }

    /// Returns when all of the groups have written everything before the token's position.
    ///
    /// # Errors
    /// See [`WaitFailed`].
    pub async fn wait(&self, wait: &Wait) -> Result<(), WaitFailed> {
        self.logs.wait(wait).await
    }
}
