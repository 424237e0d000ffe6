//! How the processes of a group agree on the module of a pipeline: records in a compacted topic. There is no
//! coordinator; the last record decides, and every process says what it runs.
//!
//! ```text
//! desired:GROUP:PIPELINE          what all should run        written by whoever is asked
//! running:GROUP:PIPELINE:MEMBER   what one runs, and why not  written by that one
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::state::Desired;
use crate::clock::now_ms;
use crate::kafka::{self, Brokers, Publisher, Seen, Tail, TopicError, tail};
use crate::publish::{Publish, PublishError, Record};

/// The processes that share a control topic. Cheap to clone.
#[derive(Clone)]
pub struct Fleet {
    topic: Arc<str>,
    publisher: Publisher,
    /// This process.
    member: Arc<str>,
    seen: Arc<Mutex<Said>>,
}

/// What the topic says.
#[derive(Default)]
struct Said {
    /// By group and pipeline.
    desired: BTreeMap<Name, Desired>,
    reports: BTreeMap<(Name, String), Report>,
    /// Who wants to know of new wishes.
    followers: BTreeMap<Name, mpsc::UnboundedSender<Desired>>,
    stopped: bool,
}

/// A pipeline as all its processes know it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    pub group: String,
    pub pipeline: String,
}

/// What one process says of one pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Name and version.
    pub module: String,
    pub digest: String,
    /// The last wish that it knows.
    pub desired: String,
    /// Why it does not run what is desired, or why it does not go on.
    pub why: Option<String>,
    /// Unix milliseconds; repeated every few seconds.
    pub at_ms: i64,
}

/// Why the control topic cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    #[error("control topic: {0}")]
    Topic(#[from] TopicError),
    #[error("control topic: {0}")]
    Kafka(#[from] kafka::Error),
    #[error("control topic {topic:?} was not read to its end within {} s", READ_TIME.as_secs())]
    Slow { topic: String },
}

/// A process that has said nothing for this long is gone, or cut off.
pub const SILENT_AFTER: Duration = Duration::from_secs(30);
/// Its last words are cleared away then.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// What waits to be said at the end.
const LEAVE_TIME: Duration = Duration::from_secs(5);
const READ_TIME: Duration = Duration::from_secs(60);

impl Fleet {
    /// Makes the topic if it is not there, reads it to its end, and goes on reading.
    ///
    /// # Errors
    /// If the topic cannot be made or read.
    pub async fn join(brokers: &Brokers, topic: &str) -> Result<Self, FleetError> {
        kafka::create_compacted(brokers, topic).await?;
        let fleet = Self {
            topic: topic.into(),
            publisher: Publisher::new(brokers)?,
            member: member().into(),
            seen: Arc::default(),
        };
        let (caught_up, reading) = oneshot::channel();
        let (this, brokers) = (fleet.clone(), brokers.clone());
        std::thread::Builder::new()
            .name("control".into())
            .spawn(move || this.read(&brokers, caught_up))
            .map_err(|error| kafka::Error::Client(error.to_string()))?;
        match tokio::time::timeout(READ_TIME, reading).await {
            Ok(Ok(())) => Ok(fleet),
            Ok(Err(_)) | Err(_) => Err(FleetError::Slow { topic: topic.to_owned() }),
        }
    }

    /// What the processes of a pipeline should run, if anybody ever said.
    pub fn desired(&self, name: &Name) -> Option<Desired> {
        self.said().desired.get(name).cloned()
    }

    /// Every wish after the one with the id `known`.
    pub fn follow(&self, name: &Name, known: Option<&str>) -> mpsc::UnboundedReceiver<Desired> {
        self.said().follow(name, known)
    }

    /// Says what all processes of a pipeline should run.
    ///
    /// # Errors
    /// If the brokers did not acknowledge it. Should they have it all the same, it is followed.
    pub async fn wish(&self, name: &Name, desired: &Desired) -> Result<(), PublishError> {
        self.say(name.key("desired", None), Some(json(desired))).await
    }

    /// The same beside other work, and again until the brokers have it.
    pub fn insist(&self, name: Name, desired: Desired) {
        let this = self.clone();
        tokio::spawn(async move {
            while this.wish(&name, &desired).await.is_err() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
    }

    /// Says what this process runs, once: it is said again soon.
    pub async fn report(&self, name: &Name, report: &Report) {
        let _ = self.say(name.key("running", Some(&self.member)), Some(json(report))).await;
    }

    /// Takes back what this process said, once: it ends.
    pub async fn leave(&self, name: &Name) {
        let taken_back = self.say(name.key("running", Some(&self.member)), None);
        let _ = tokio::time::timeout(LEAVE_TIME, taken_back).await;
        self.said().stopped = true;
    }

    /// By member; what was said long ago is left out.
    pub fn reports(&self, name: &Name) -> BTreeMap<String, Report> {
        let said = self.said();
        let of_this = said.reports.iter().filter(|((of, _), report)| of == name && report.age() < FORGOTTEN_AFTER);
        of_this.map(|((_, member), report)| (member.clone(), report.clone())).collect()
    }

    async fn say(&self, key: String, value: Option<Vec<u8>>) -> Result<(), PublishError> {
        let record = Record { topic: self.topic.clone(), key: Some(key.into_bytes()), value, headers: Vec::new() };
        let said = self.publisher.publish(record).await;
        if let Err(error) = &said {
            tracing::warn!(%error, "control topic not written");
        }
        said
    }

    /// The thread that reads along.
    fn read(self, brokers: &Brokers, caught_up: oneshot::Sender<()>) {
        let mut caught_up = Some(caught_up);
        let what = Tail { topic: self.topic.to_string(), from_beginning: true, follow: true };
        let done = tail(brokers, &what, |seen| {
            match seen {
                Seen::Message { key, value, .. } => self.said().take(key, value, caught_up.is_none()),
                Seen::CaughtUp => drop(caught_up.take().map(|waiting| waiting.send(()))),
                Seen::Nothing => {}
            }
            !self.said().stopped
        });
        if let Err(error) = done {
            tracing::error!(%error, topic = &*self.topic, "control topic not read any more; modules stay as they are until a restart");
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Said {
    fn follow(&mut self, name: &Name, known: Option<&str>) -> mpsc::UnboundedReceiver<Desired> {
        let (sender, receiver) = mpsc::unbounded_channel();
        if let Some(latest) = self.desired.get(name).filter(|latest| Some(latest.id.as_str()) != known) {
            let _ = sender.send(latest.clone());
        }
        self.followers.insert(name.clone(), sender);
        receiver
    }

    /// Wishes are passed on when they are `news`.
    fn take(&mut self, key: &[u8], value: Option<&[u8]>, news: bool) {
        let Some((kind, name, member)) = std::str::from_utf8(key).ok().and_then(Name::of_key) else {
            tracing::warn!(key = %String::from_utf8_lossy(key), "a record of the control topic that is none of ours");
            return;
        };
        match (kind, member) {
            ("desired", None) => match value.map(serde_json::from_slice::<Desired>) {
                Some(Ok(desired)) => {
                    if let Some(follower) = self.followers.get(&name).filter(|_| news) {
                        let _ = follower.send(desired.clone());
                    }
                    self.desired.insert(name, desired);
                }
                Some(Err(error)) => tracing::warn!(%error, pipeline = name.pipeline, "a wish that is not readable"),
                None => drop(self.desired.remove(&name)),
            },
            ("running", Some(member)) => match value.and_then(|value| serde_json::from_slice(value).ok()) {
                Some(report) => drop(self.reports.insert((name, member), report)),
                None => drop(self.reports.remove(&(name, member))),
            },
            _ => {}
        }
    }
}

impl Name {
    /// Parts are told apart by colons, so those within them are escaped.
    fn key(&self, kind: &str, member: Option<&str>) -> String {
        let escaped = |part: &str| part.replace('%', "%25").replace(':', "%3A");
        let member = member.map(|member| format!(":{}", escaped(member))).unwrap_or_default();
        format!("{kind}:{}:{}{member}", escaped(&self.group), escaped(&self.pipeline))
    }

    fn of_key(key: &str) -> Option<(&str, Self, Option<String>)> {
        let plain = |part: &str| part.replace("%3A", ":").replace("%25", "%");
        let mut parts = key.split(':');
        let (kind, group, pipeline) = (parts.next()?, plain(parts.next()?), plain(parts.next()?));
        Some((kind, Self { group, pipeline }, parts.next().map(plain)))
    }
}

impl Report {
    pub fn age(&self) -> Duration {
        Duration::from_millis(now_ms().saturating_sub(self.at_ms).max(0).unsigned_abs())
    }

    pub fn is_silent(&self) -> bool {
        self.age() > SILENT_AFTER
    }
}

/// Names this process among all: the machine and the process.
fn member() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "host" } else { host.trim() };
    format!("{host}-{}", std::process::id())
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("a record of the control topic is plain data")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::state::Because;

    fn name() -> Name {
        Name { group: "a:group".into(), pipeline: "100%".into() }
    }

    #[test]
    fn keys_are_read_as_they_were_written() {
        let key = name().key("running", Some("h:1"));
        assert_eq!(Name::of_key(&key), Some(("running", name(), Some("h:1".into()))));
        assert_eq!(Name::of_key(&name().key("desired", None)), Some(("desired", name(), None)));
    }

    #[test]
    fn the_last_wish_decides_and_only_news_is_passed_on() {
        let mut said = Said::default();
        let mut followed = said.follow(&name(), None);
        let wishes = ["a", "b", "c"].map(|digest| Desired::new("file:m", digest, Because::Load));
        let key = name().key("desired", None);
        for (at, wish) in wishes.iter().enumerate() {
            said.take(key.as_bytes(), Some(&json(wish)), at == 2);
        }
        said.take(b"desired:x", Some(b"{}"), true);
        said.take(key.as_bytes(), Some(b"not json"), true);
        assert_eq!(said.desired[&name()], wishes[2]);
        assert_eq!(followed.try_recv(), Ok(wishes[2].clone()));
        assert!(followed.try_recv().is_err());
    }

    #[test]
    fn a_wish_that_came_before_anybody_followed_is_passed_on_unless_it_is_known() {
        let (mut said, wish) = (Said::default(), Desired::new("file:m", "a", Because::Load));
        said.take(name().key("desired", None).as_bytes(), Some(&json(&wish)), true);
        assert_eq!(said.follow(&name(), Some("an earlier one")).try_recv(), Ok(wish.clone()));
        assert!(said.follow(&name(), Some(&wish.id)).try_recv().is_err());
    }

    #[test]
    fn a_member_that_left_is_not_reported() {
        let report =
            Report { module: "m 1".into(), digest: "d".into(), desired: "1".into(), why: None, at_ms: now_ms() };
        let (mut said, key) = (Said::default(), name().key("running", Some("h-1")));
        said.take(key.as_bytes(), Some(&json(&report)), true);
        assert_eq!(said.reports[&(name(), "h-1".to_owned())], report);
        said.take(key.as_bytes(), None, true);
        assert!(said.reports.is_empty());
    }
}
