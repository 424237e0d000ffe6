//! A commit log that is being read: one consumer for all that wait and all that follow.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientConfig;
use tidegate_commit_log::{Key, Record};
use tokio::sync::oneshot;

use super::Error;
use super::asker::Asker;
use super::log_reader::LogReader;
use super::shared::{Shared, Waiting};
use crate::token::Token;
use crate::waiters::WaitId;

/// How a commit log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// How long somebody waits for a group before the group itself is asked what it has committed (needs the right to
    /// DESCRIBE the group); a partition opens only when its groups have been asked once, so they must be consumer groups that
    /// commit before they publish. `None`: groups are never asked;
    /// then a record that is lost is waited for until it is written again, and a topic made anew is only told from the
    /// earlier one if its records carry ids or epochs.
    pub repair: Option<Duration>,
    /// How often the partitions of the log and the ids of the topics are looked at.
    pub refresh: Duration,
}

/// A commit log that is being read, in a thread. Clones are handles of the same; it ends with the last.
///
/// Nothing is waited for here: until the log is read to its end, everything is closed.
#[derive(Clone)]
pub struct CommitLog(Arc<Handle>);

/// What has been read so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogStatus {
    /// Whether all partitions have been read to their end.
    pub is_loaded: bool,
    /// Records, and tombstones.
    pub records: u64,
    /// Messages that are no records, passed over.
    pub unreadable: u64,
    /// How many wait.
    pub waiting: usize,
    /// Ids of the topics that somebody waits for or follows, where the broker says.
    pub topics: BTreeMap<String, String>,
    /// The last error of reading, if there was one; reading goes on.
    pub last_error: Option<String>,
}

/// Why a wait ended before its position was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    #[error("{token} was not written within {timeout:?}: {}", describe(.reached))]
    TimedOut {
        token: Token,
        timeout: Duration,
        /// How far each group is known to have come.
        reached: Vec<(String, Option<i64>)>,
    },
    #[error("no group is waited for\nhint: name the consumer groups that write what is to be read")]
    NoGroups,
    #[error("the commit log is not read any more")]
    Ended,
}

/// The log could not be read to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read commit log {topic:?} to its end: {cause}")]
pub struct LogReadError {
    pub topic: String,
    pub cause: String,
}

/// Which id a topic has could not be learnt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to ask for the id of topic {topic:?}: {cause}")]
pub struct TopicIdError {
    pub topic: String,
    pub cause: String,
}

/// A wait that is going on: a future, or [`wait`](Self::wait) for it. Dropped, nobody waits any more.
#[must_use = "nothing is waited for until it is awaited"]
pub struct WaitFor {
    id: WaitId,
    shared: Arc<Shared>,
    answer: oneshot::Receiver<Result<(), WaitError>>,
}

struct Handle {
    topic: String,
    shared: Arc<Shared>,
    reader: Mutex<Option<JoinHandle<()>>>,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { repair: Some(Duration::from_secs(1)), refresh: Duration::from_secs(10) }
    }
}

impl CommitLog {
    /// Begins to read a commit log. `kafka` says how to connect; what it says of groups and positions is not used.
    ///
    /// # Errors
    /// If `kafka` is not valid. A broker that does not answer, or a log that is not there, is waited for.
    pub fn start(kafka: &ClientConfig, topic: &str, settings: LogSettings) -> Result<Self, Error> {
        let failed = |cause| Error::Thread { topic: topic.to_owned(), cause };
        let asker = Asker::start(kafka.clone()).map_err(failed)?;
        let shared = Arc::new(Shared::new(settings.repair, asker));
        let reader = LogReader::new(kafka, topic, settings.refresh, shared.clone())?;
        let thread = std::thread::Builder::new().name("commit-log".into()).spawn(|| reader.run()).map_err(failed)?;
        let topic = topic.to_owned();
        Ok(Self(Arc::new(Handle { topic, shared, reader: Mutex::new(Some(thread)) })))
    }

    /// Waits until all of these groups have written everything before the token's position. Waiting costs no thread and no
    /// polling; a timeout is kept to within 100 ms.
    ///
    /// # Errors
    /// See [`WaitError`]; a timeout says how far each group has come.
    pub fn wait_for(&self, token: &Token, groups: &[&str], timeout: Duration) -> WaitFor {
        let shared = self.0.shared.clone();
        let (answer, receiver) = oneshot::channel();
        let id = if groups.is_empty() {
            // Nobody is waited for any more when the answer is there.
            drop(answer.send(Err(WaitError::NoGroups)));
            WaitId::MAX
        } else {
            let groups = groups.iter().map(|group| (*group).to_owned()).collect();
            shared.begin_wait(Waiting { token: token.clone(), timeout, answer }, groups)
        };
        WaitFor { id, shared, answer: receiver }
    }

    /// Waits until the log has been read to the end that it has now; a log that is not there has nothing to read. While the
    /// brokers are gone it may wait for ever: [`status`](Self::status) says why.
    ///
    /// # Errors
    /// If the brokers do not say how far that is.
    pub async fn read_to_end(&self) -> Result<(), LogReadError> {
        let (answer, done) = oneshot::channel();
        self.0.shared.catch_up(answer);
        let read = done.await.unwrap_or_else(|_| Err("nobody reads it any more".into()));
        read.map_err(|cause| LogReadError { topic: self.0.topic.clone(), cause })
    }

    pub fn topic(&self) -> &str {
        &self.0.topic
    }

    /// The highest record of a key by epoch and offset among those read so far, whichever topic of the name it is about.
    pub fn last(&self, key: &Key) -> Option<Record> {
        self.0.shared.last(key)
    }

    /// The id that the topic of this name has now; none if the broker knows of no ids.
    ///
    /// # Errors
    /// Why it is not known, as text; also if the topic is not there.
    pub async fn topic_id(&self, topic: &str) -> Result<Option<String>, TopicIdError> {
        let failed = |cause| TopicIdError { topic: topic.to_owned(), cause };
        let (answer, told) = oneshot::channel();
        self.0.shared.topic_id(topic.to_owned(), answer);
        told.await.unwrap_or_else(|_| Err("nobody can be asked any more".into())).map_err(failed)
    }

    pub fn status(&self) -> LogStatus {
        self.0.shared.status()
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }
}

impl WaitFor {
    /// Blocks the thread. Not for asynchronous code: await it there.
    ///
    /// # Errors
    /// See [`WaitError`].
    pub fn wait(mut self) -> Result<(), WaitError> {
        let (_, closed) = oneshot::channel();
        std::mem::replace(&mut self.answer, closed).blocking_recv().unwrap_or(Err(WaitError::Ended))
    }
}

impl Future for WaitFor {
    type Output = Result<(), WaitError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(context).map(|answer| answer.unwrap_or(Err(WaitError::Ended)))
    }
}

impl Drop for WaitFor {
    fn drop(&mut self) {
        self.shared.cancel_wait(self.id);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.begin_to_end();
        let reader = self.reader.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if reader.is_some_and(|reader| reader.join().is_err()) {
            tracing::error!("the thread that read the commit log has panicked");
        }
        // Who still waits is told so.
        self.shared.give_up_waits();
    }
}

impl fmt::Debug for CommitLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CommitLog").field(&self.status()).finish()
    }
}

fn describe(reached: &[(String, Option<i64>)]) -> String {
    let group = |(group, position): &(String, Option<i64>)| match position {
        Some(position) => format!("group {group:?} has come to {position}"),
        None => format!("of group {group:?} nothing is known"),
    };
    reached.iter().map(group).collect::<Vec<_>>().join(", ")
}
