//! Settling: once a batch's rows are durable, what goes with them is published, its positions are committed, and the
//! commit log says so. One batch after the other, each step acknowledged before the next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use crate::commit_log;
use crate::dead_letter::{DeadLetters, Verdict};
use crate::error::Backoff;
use crate::flow::{Flow, Sign};
use crate::metrics::PipelineMetrics;
use crate::offset::{Assignment, Partition};
use crate::outcome::Replacement;
use crate::publish::{Publish, PublishError, Record};
use crate::share::{Committed, Share};
use crate::sink::Writing;
use crate::source::{Assigned, Commit, CommitNote};
use crate::status::PipelineStatus;

/// The last stage of a pipeline.
pub struct Settler<C, B> {
    pub share: Arc<Share<C>>,
    pub publisher: Arc<B>,
    pub commit_log: Option<CommitLog>,
    /// `None`: a replacement stops the pipeline.
    pub replacements: Option<Arc<str>>,
    pub dead_letters: DeadLetters,
    pub metrics: PipelineMetrics,
    pub status: PipelineStatus,
}

/// Where records of progress go.
#[derive(Clone, Debug, PartialEq)]
pub struct CommitLog {
    pub topic: Arc<str>,
    /// The group that followers wait for.
    pub group: String,
    /// The last record is repeated after this long without another.
    pub heartbeat: Duration,
}

/// What the commit log said last of the partitions held.
#[derive(Default)]
struct Said(BTreeMap<Partition, (Assignment, commit_log::Record, Instant)>);

impl<C: Commit, B: Publish> Settler<C, B> {
    /// The stage: ends when its input ends.
    pub async fn settle(mut self, mut input: mpsc::Receiver<Flow<Writing>>) {
        let mut said = Said::default();
        loop {
            let heartbeat = self.commit_log.as_ref().and_then(|log| said.next_repeat(log.heartbeat));
            tokio::select! {
                biased;
                flow = input.recv() => match flow {
                    Some(Flow::Data(writing)) => self.batch(writing, &mut said).await,
                    Some(Flow::Sign(sign)) => self.sign(sign, &mut said).await,
                    None => return,
                },
                () = until(heartbeat) => self.repeat(&mut said).await,
            }
        }
    }

    async fn batch(&mut self, mut writing: Writing, said: &mut Said) {
        let written = writing.written().await;
        let counts = written.progress().counts();
        self.dead_letters(&mut writing, counts.messages - counts.unselected).await;
        self.replacements(std::mem::take(&mut writing.replacements)).await;
        self.metrics.settled(written.progress());
        let notes =
            written.progress().iter().map(|(partition, covered)| (partition.clone(), commit_log::note(covered)));
        let notes = notes.collect();
        let started = Instant::now();
        let committed = self.commit(written, notes).await;
        self.metrics.committed(committed.progress(), started.elapsed(), writing.opened.elapsed());
        for (partition, covered) in committed.progress().iter() {
            self.status.committed(partition, covered.range.end);
        }
        self.append(&committed, said).await;
    }

    async fn sign(&self, sign: Sign, said: &mut Said) {
        match sign {
            Sign::Assigned(assigned) => {
                self.status.assigned(assigned.iter().map(|a| (&a.partition, a.position)));
                for partition in assigned {
                    self.say_again(partition, said).await;
                }
            }
            // Nobody listens when its deadline has passed.
            Sign::Flush(flush) => drop(flush.done.send(())),
            Sign::Revoked(revoked) => {
                self.status.revoked(revoked.iter().map(|(partition, _)| partition));
                said.forget(&revoked);
            }
        }
    }

    /// The last commit may have had no record: its process may have died between the two.
    async fn say_again(&self, assigned: Assigned, said: &mut Said) {
        let note = assigned.committed.and_then(|last| last.note.first);
        let Some((log, note)) = self.commit_log.as_ref().zip(note) else { return };
        let record = commit_log::record(&assigned.partition, &log.group, assigned.position, note);
        self.publish_all(vec![commit_log::to_publish(&record, &log.topic)], "commit log").await;
        said.remember(assigned.partition, assigned.assignment, record);
    }

    async fn repeat(&self, said: &mut Said) {
        let Some(log) = &self.commit_log else { return };
        let due = said.take_due(log.heartbeat);
        let messages = due.iter().map(|record| commit_log::to_publish(record, &log.topic));
        self.publish_all(messages.collect(), "commit log").await;
    }

    async fn append(&self, committed: &Committed, said: &mut Said) {
        let Some(log) = &self.commit_log else { return };
        let records = commit_log::records(committed, &log.group);
        let messages = records.iter().map(|(_, _, record)| commit_log::to_publish(record, &log.topic));
        self.publish_all(messages.collect(), "commit log").await;
        for (partition, assignment, record) in records {
            said.remember(partition, assignment, record);
        }
    }

    async fn dead_letters(&mut self, writing: &mut Writing, messages: u64) {
        let letters = std::mem::take(&mut writing.dead_letters);
        let mut records = Vec::new();
        for letter in &letters {
            match self.dead_letters.verdict(letter) {
                Verdict::Publish(record) => {
                    self.metrics.dead_lettered(letter.rejection.reason);
                    records.push(record);
                }
                Verdict::Skip => self.metrics.discarded(letter.rejection.reason),
                Verdict::Stop(why) => self.stop(&why).await,
            }
        }
        self.publish_all(records, "dead letters").await;
        if let Some(why) = self.dead_letters.observe(messages, letters.len() as u64) {
            self.stop(&why).await;
        }
    }

    async fn replacements(&self, replacements: Vec<Replacement>) {
        if replacements.is_empty() {
            return;
        }
        let Some(topic) = &self.replacements else {
            return self.stop("the processor returned a replacement and there is no replacement topic").await;
        };
        let records = replacements.into_iter().map(|replacement| Record {
            topic: topic.clone(),
            key: Some(replacement.key),
            value: Some(replacement.value),
            headers: Vec::new(),
        });
        self.publish_all(records.collect(), "replacements").await;
    }

    /// Publishes in order, and again from the first that was not acknowledged, until all are.
    async fn publish_all(&self, mut records: Vec<Record>, what: &str) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        while !records.is_empty() {
            let answers = join_all(records.iter().map(|record| self.publisher.publish(record.clone()))).await;
            let Some(failed) = answers.iter().position(Result::is_err) else {
                self.status.clear(what);
                return;
            };
            if let Some(Err(error)) = answers.into_iter().nth(failed) {
                self.publish_failed(what, &error);
            }
            records.drain(..failed);
            sleep(backoff.pause()).await;
        }
    }

    fn publish_failed(&self, what: &str, error: &PublishError) {
        tracing::warn!(what, %error, "publishing failed, trying again");
        self.metrics.publish_failed(&error.topic);
        self.status.last_error(&error.to_string());
        if error.hold {
            self.status.hold(what, &error.to_string());
        }
    }

    async fn commit(&self, written: crate::sink::Written, notes: Vec<(Partition, CommitNote)>) -> Committed {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let (mut written, mut notes) = (written, notes);
        loop {
            match self.share.commit(written, notes).await {
                Ok(committed) => return committed,
                Err((still_written, same_notes, error)) => {
                    tracing::warn!(%error, "commit failed, trying again");
                    self.metrics.commit_failed();
                    self.status.last_error(&error.to_string());
                    (written, notes) = (still_written, same_notes);
                }
            }
            sleep(backoff.pause()).await;
        }
    }

    /// Holds the pipeline for good: what was read is not acknowledged, and somebody has to look.
    async fn stop(&self, why: &str) {
        tracing::error!(why, "the pipeline is paused");
        self.status.hold("dead letters", why);
        std::future::pending().await
    }
}

impl Said {
    fn remember(&mut self, partition: Partition, assignment: Assignment, record: commit_log::Record) {
        self.0.insert(partition, (assignment, record, Instant::now()));
    }

    fn forget(&mut self, revoked: &[(Partition, Assignment)]) {
        for (partition, assignment) in revoked {
            if self.0.get(partition).is_some_and(|(said, ..)| said <= assignment) {
                self.0.remove(partition);
            }
        }
    }

    fn next_repeat(&self, heartbeat: Duration) -> Option<Instant> {
        self.0.values().map(|(_, _, at)| *at + heartbeat).min()
    }

    /// The records to be said again now, counting nothing: they close no new range.
    fn take_due(&mut self, heartbeat: Duration) -> Vec<commit_log::Record> {
        let now = Instant::now();
        let due = self.0.values_mut().filter(|(_, _, at)| *at + heartbeat <= now);
        due.map(|(_, record, at)| {
            *at = now;
            record.repeated()
        })
        .collect()
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
