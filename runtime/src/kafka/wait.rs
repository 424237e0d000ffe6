//! Waiting as readers downstream do, with their own client.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidegate_client::{CommitLog, LogSettings, Token, WaitError};

use super::{Brokers, Role};

/// Commit logs that are read once for all that wait and for those that write them; each from when it is opened first. Clones
/// have the same.
#[derive(Clone, Default)]
pub struct CommitLogs {
    brokers: Brokers,
    /// By topic, and whether groups may be asked.
    open: Arc<Mutex<BTreeMap<(String, bool), CommitLog>>>,
}

/// The end of a log that is quiet is told after this long.
const FETCH_WAIT: (&str, &str) = ("fetch.wait.max.ms", "100");

/// What to wait for.
#[derive(Clone, Debug, PartialEq)]
pub struct Wait {
    pub commit_log: String,
    pub token: Token,
    /// All of these must have written it.
    pub groups: Vec<String>,
    /// Whether these are consumer groups, which Kafka can be asked about where a record is lost.
    pub may_be_asked: bool,
    pub timeout: Duration,
}

/// Why the end of waiting was not that everything is written.
#[derive(Debug, thiserror::Error)]
pub enum WaitFailed {
    #[error(transparent)]
    Client(#[from] tidegate_client::Error),
    /// The log was not read to its end, so nothing is known.
    #[error("commit log {topic:?} was not read to its end within {timeout:?}{}", cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default())]
    Unreadable { topic: String, timeout: Duration, cause: Option<String> },
    #[error(transparent)]
    NotWritten(#[from] WaitError),
}

impl CommitLogs {
    pub fn new(brokers: Brokers) -> Self {
        Self { brokers, open: Arc::default() }
    }

    /// Returns when all groups have written everything before the position.
    ///
    /// # Errors
    /// See [`WaitFailed`].
    pub async fn wait(&self, wait: &Wait) -> Result<(), WaitFailed> {
        let Wait { commit_log, token, groups, may_be_asked, timeout } = wait;
        let log = self.open(commit_log, *may_be_asked)?;
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        let done = log.wait_for(token, &groups, *timeout).await;
        let status = log.status();
        match done {
            Err(WaitError::TimedOut { .. }) if !status.is_loaded => {
                let (topic, timeout) = (commit_log.clone(), *timeout);
                Err(WaitFailed::Unreadable { topic, timeout, cause: status.last_error })
            }
            done => Ok(done?),
        }
    }

    /// A log, and whether the names in it are those of consumer groups, which may be asked.
    ///
    /// # Errors
    /// If no client can be made of the brokers' settings.
    pub fn open(&self, topic: &str, may_be_asked: bool) -> Result<CommitLog, tidegate_client::Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (topic.to_owned(), may_be_asked);
        if let Some(log) = open.get(&key) {
            return Ok(log.clone());
        }
        let settings = LogSettings::default();
        let settings = LogSettings { repair: settings.repair.filter(|_| may_be_asked), ..settings };
        let log = CommitLog::start(&self.brokers.config(Role::Consumer, &[FETCH_WAIT]), topic, settings)?;
        open.insert(key, log.clone());
        Ok(log)
    }
}
