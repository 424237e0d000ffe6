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
use crate::recall::{Beginning, Recall, RecallError, Recalled, Standing};
use crate::share::{Committed, Share};
use crate::sink::Writing;
use crate::source::{Assigned, Commit, CommitNote, Place};
use crate::status::PipelineStatus;

/// The last stage of a pipeline.
pub struct Settler<C, B, L> {
    pub share: Arc<Share<C>>,
    pub publisher: Arc<B>,
    pub commit_log: Option<CommitLog<L>>,
    /// `None`: a replacement stops the pipeline.
    pub replacements: Option<Arc<str>>,
    pub dead_letters: DeadLetters,
    pub metrics: PipelineMetrics,
    pub status: PipelineStatus,
}

/// Where records of progress go.
pub struct CommitLog<L> {
    pub topic: Arc<str>,
    /// What it says already.
    pub log: L,
    /// The group that followers wait for.
    pub group: String,
    /// The last record is repeated after this long without another.
    pub heartbeat: Duration,
}

/// What was said in the commit log of the partitions held; empty without one.
#[derive(Default)]
struct Said(BTreeMap<Partition, Stay>);

struct Stay {
    assignment: Assignment,
    standing: Standing,
    /// The last record, and when it was said.
    last: Option<(commit_log::Record, Instant)>,
}

/// The part of the status that speaks of the commit log.
const COMMIT_LOG: &str = "commit log";

impl<C: Commit, B: Publish, L: Recall> Settler<C, B, L> {
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
                self.begin(&assigned, said).await;
            }
            // Nobody listens when its deadline has passed.
            Sign::Flush(flush) => drop(flush.done.send(())),
            Sign::Revoked(revoked) => {
                self.status.revoked(revoked.iter().map(|(partition, _)| partition));
                said.forget(&revoked);
            }
        }
    }

    /// Goes on from what the commit log says, and says what is committed: the last commit may have had no record, as its
    /// process may have died between the two.
    async fn begin(&self, assigned: &[Assigned], said: &mut Said) {
        let Some(log) = &self.commit_log else { return };
        let stays: Vec<_> = assigned.iter().map(|assigned| (assigned.partition.clone(), assigned.assignment)).collect();
        self.begin_stays(log, stays, Beginning::after, said).await;
    }

    /// The same for stays that would not be heard any more: there are records of higher epochs.
    async fn begin_again(&self, log: &CommitLog<L>, said: &mut Said) {
        let is_overtaken =
            |(partition, stay): &(&Partition, &Stay)| stay.standing.epoch < log.log.epoch(&log.group, partition);
        let overtaken = said.0.iter().filter(is_overtaken);
        let stays: Vec<_> = overtaken.map(|(partition, stay)| (partition.clone(), stay.assignment)).collect();
        if !stays.is_empty() {
            tracing::warn!(?stays, "somebody else has said more of these partitions, beginning again");
            self.begin_stays(log, stays, Beginning::again, said).await;
        }
    }

    async fn begin_stays(
        &self,
        log: &CommitLog<L>,
        stays: Vec<(Partition, Assignment)>,
        begin: fn(Recalled, Option<Place>) -> Beginning,
        said: &mut Said,
    ) {
        let partitions: Vec<_> = stays.iter().map(|(partition, _)| partition.clone()).collect();
        let mut messages = Vec::new();
        for ((partition, assignment), (recalled, place)) in stays.into_iter().zip(self.insist(log, &partitions).await) {
            let Beginning { standing, said: position } = begin(recalled, place);
            let record = position.map(|position| commit_log::record(&partition, &log.group, &standing, position));
            messages.extend(record.iter().map(|record| commit_log::to_publish(record, &log.topic)));
            let last = record.map(|record| (record, Instant::now()));
            said.0.insert(partition, Stay { assignment, standing, last });
        }
        self.publish_all(messages, COMMIT_LOG).await;
    }

    /// What the log says, and what the group has committed. Until that is known nothing of the stay is settled, and nothing
    /// committed: followers wait for a commit that has no record, and a log that cannot be read can rarely be written.
    async fn insist(&self, log: &CommitLog<L>, partitions: &[Partition]) -> Vec<(Recalled, Option<Place>)> {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        loop {
            match self.recall(log, partitions).await {
                Ok(known) => {
                    self.status.clear(COMMIT_LOG);
                    return known;
                }
                Err(error) => {
                    tracing::warn!(%error, "what the commit log says is not known yet, nothing is committed");
                    self.status.last_error(&error.to_string());
                    self.status.hold(COMMIT_LOG, &error.to_string());
                }
            }
            sleep(backoff.pause()).await;
        }
    }

    /// First the log, then the group: only so a group that is behind its record has gone back. The other way round
    /// somebody may have taken the partition over meanwhile, and gone on.
    async fn recall(
        &self,
        log: &CommitLog<L>,
        partitions: &[Partition],
    ) -> Result<Vec<(Recalled, Option<Place>)>, RecallError> {
        let recalled = log.log.recall(&log.group, partitions).await?;
        let committed = self.share.committed(partitions).await?;
        Ok(recalled.into_iter().zip(committed).collect())
    }

    async fn repeat(&self, said: &mut Said) {
        let Some(log) = &self.commit_log else { return };
        self.begin_again(log, said).await;
        let due = said.take_due(log.heartbeat);
        let messages = due.iter().map(|record| commit_log::to_publish(record, &log.topic));
        self.publish_all(messages.collect(), COMMIT_LOG).await;
    }

    async fn append(&self, committed: &Committed, said: &mut Said) {
        let Some(log) = &self.commit_log else { return };
        self.begin_again(log, said).await;
        let standing = |partition: &Partition, assignment| said.standing(partition, assignment);
        let records = commit_log::records(committed, &log.group, standing);
        let messages = records.iter().map(|(_, record)| commit_log::to_publish(record, &log.topic));
        self.publish_all(messages.collect(), COMMIT_LOG).await;
        for (partition, record) in records {
            said.remember(&partition, record);
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
    fn standing(&self, partition: &Partition, assignment: Assignment) -> &Standing {
        let stay = self.0.get(partition).filter(|stay| stay.assignment == assignment);
        &stay.expect("a stay begins before anything is committed in it, and ends after").standing
    }

    fn remember(&mut self, partition: &Partition, record: commit_log::Record) {
        if let Some(stay) = self.0.get_mut(partition) {
            stay.last = Some((record, Instant::now()));
        }
    }

    fn forget(&mut self, revoked: &[(Partition, Assignment)]) {
        for (partition, assignment) in revoked {
            if self.0.get(partition).is_some_and(|stay| stay.assignment <= *assignment) {
                self.0.remove(partition);
            }
        }
    }

    fn next_repeat(&self, heartbeat: Duration) -> Option<Instant> {
        self.0.values().filter_map(|stay| Some(stay.last.as_ref()?.1 + heartbeat)).min()
    }

    /// The records to be said again now, counting nothing: they close no new range.
    fn take_due(&mut self, heartbeat: Duration) -> Vec<commit_log::Record> {
        let now = Instant::now();
        let said = self.0.values_mut().filter_map(|stay| stay.last.as_mut());
        let due = said.filter(|(_, at)| *at + heartbeat <= now);
        due.map(|(record, at)| {
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
