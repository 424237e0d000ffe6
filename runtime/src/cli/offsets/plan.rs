//! What moving a pipeline means, partition by partition; nothing is asked or done here.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate_commit_log::{Key, Record};

use super::super::positions::{Place, or_dash};
use super::target::Target;
use crate::kafka::Standing;
use crate::offset::{Partition, Range};
use crate::share::moved;
use crate::source::{self, CommitNote, LastCommit};

/// A pipeline that is to be moved.
#[derive(Debug)]
pub struct Plan {
    pub moves: Vec<Move>,
    /// Partitions that are there already.
    pub stay: Vec<Partition>,
}

/// One partition of it.
#[derive(Debug)]
pub struct Move {
    pub partition: Partition,
    /// What the pipeline has committed.
    pub from: Option<i64>,
    /// What its commit log says: epoch and position.
    pub said: Option<(u64, i64)>,
    pub to: i64,
    /// The group's position then, with the places of all its pipelines.
    pub group: LastCommit,
    /// None for a pipeline without a commit log.
    pub record: Option<Record>,
}

impl Plan {
    /// `wanted` are numbers of partitions, all without any. `found` and `times` are what was looked up in the topic: the
    /// offset for a target that is a time, and when the last message before the new position was written.
    ///
    /// # Errors
    /// For a partition or an offset that is not there.
    pub fn targets(
        place: &Place<'_>,
        wanted: &[i32],
        target: Target,
        found: &BTreeMap<i32, Option<i64>>,
    ) -> Result<Vec<(i32, Range, i64)>, String> {
        if let Some(unknown) = wanted.iter().find(|number| !place.standings.iter().any(|s| s.number == **number)) {
            return Err(format!(
                "topic {:?} has no partition {unknown}; it has {}",
                place.topic(),
                place.standings.len()
            ));
        }
        let chosen = place.standings.iter().filter(|standing| wanted.is_empty() || wanted.contains(&standing.number));
        let target = |Standing { number, has, .. }: &Standing| {
            let to = target.position(*has, found.get(number).copied().flatten());
            let to = to.map_err(|why| {
                format!("{}: {why}; choose by --partition, or move to earliest or latest", place.partition(*number))
            });
            Ok((*number, *has, to?))
        };
        chosen.map(target).collect()
    }

    pub fn of(
        place: &Place<'_>,
        sharing: &[String],
        targets: &[(i32, Range, i64)],
        times: &BTreeMap<i32, i64>,
    ) -> Self {
        let mut plan = Self { moves: Vec::new(), stay: Vec::new() };
        for (number, _, to) in targets {
            let Some(standing) = place.standings.iter().find(|standing| standing.number == *number) else { continue };
            let last = place.account(*number).and_then(|account| account.last);
            let (from, partition) = (place.committed(standing), place.partition(*number));
            if from == Some(*to) && last.is_none_or(|last| last.position == *to) {
                plan.stay.push(partition);
                continue;
            }
            let goes_back = from.is_some_and(|from| to < &from) || last.is_some_and(|last| *to < last.position);
            // Who goes by times hears of no progress, as when the host finds that the group was set back.
            let seconds = match last {
                Some(last) if goes_back => last.orig_message_ts,
                _ => times.get(number).map_or(0.0, |milliseconds| *milliseconds as f64 / 1000.0),
            };
            let note = CommitNote { orig_message_ts: seconds, received_p99: None };
            let at = source::Place { position: *to, note: Some(note) };
            let group = moved(standing.committed.as_ref(), sharing, place.name, at);
            let epoch = last.map_or(0, |last| last.epoch) + u64::from(goes_back);
            let record = place.pipeline.commit_log.is_some().then(|| record(place, *number, at, epoch));
            let said = last.map(|last| (last.epoch, last.position));
            plan.moves.push(Move { partition, from, said, to: *to, group, record });
        }
        plan
    }
}

/// Followers believe the highest epoch, then the highest position: what is lower than anything said or done needs a new epoch.
fn record(place: &Place<'_>, number: i32, at: source::Place, epoch: u64) -> Record {
    let Key { topic, partition, group } = place.key(number);
    Record {
        topic,
        partition,
        group,
        offset: at.position,
        orig_message_ts: at.note.map_or(0.0, |note| note.orig_message_ts),
        epoch,
        topic_id: place.topic_id.clone(),
        ..Record::default()
    }
}

impl Move {
    /// Whether followers must hear of it before the group goes there.
    pub fn raises_epoch(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.epoch > self.said.map_or(0, |(epoch, _)| epoch))
    }

    /// Offsets that are done once more.
    pub fn again(&self) -> Option<Range> {
        self.from.filter(|from| self.to < *from).map(|from| Range::new(self.to, from))
    }

    /// Offsets that are never done.
    pub fn skipped(&self) -> Option<Range> {
        self.from.filter(|from| *from < self.to).map(|from| Range::new(from, self.to))
    }

    /// Other pipelines of the group, which stay where they are.
    pub fn others<'a>(&'a self, pipeline: &'a str) -> impl Iterator<Item = (&'a str, i64)> {
        let others = self.group.note.pipelines.iter().filter(move |(name, _)| *name != pipeline);
        others.map(|(name, place)| (name.as_str(), place.position))
    }

    pub fn cells(&self) -> [String; 6] {
        let count = |range: Range| range.end - range.start;
        let what = match (self.again(), self.skipped()) {
            (Some(again), _) => format!("{} offset(s) are done again: {again}", count(again)),
            (_, Some(skipped)) => format!("{} offset(s) are skipped for ever: {skipped}", count(skipped)),
            (None, None) if self.from.is_none() => "it begins there".to_owned(),
            (None, None) => "the commit log is told".to_owned(),
        };
        [
            self.partition.to_string(),
            or_dash(self.from),
            or_dash(self.said.map(|(_, position)| position)),
            self.to.to_string(),
            or_dash(self.record.as_ref().map(|record| record.epoch)),
            what,
        ]
    }

    pub fn json(&self, pipeline: &str) -> Value {
        let range = |range: Option<Range>| range.map(|range| json!({ "start": range.start, "end": range.end }));
        json!({
            "partition": self.partition.number,
            "from": self.from,
            "log": self.said.map(|(_, position)| position),
            "to": self.to,
            "epoch": self.record.as_ref().map(|record| record.epoch),
            "again": range(self.again()),
            "skipped": range(self.skipped()),
            "group": self.group.position,
            "others": self.others(pipeline).collect::<BTreeMap<_, _>>(),
        })
    }
}
