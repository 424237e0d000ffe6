//! How far a group may be believed to have written: what the commit log says, repaired by what the group has committed.
//! [`Follower`](crate::Follower) and [`Waiters`](crate::Waiters) both ask here; nothing else decides what is written.
//!
//! With repair on, a key opens only after the group itself was asked once (Kafka's OffsetFetch, without joining it):
//!
//! | the group has committed | compared with the mark when it was asked | believed |
//! |---|---|---|
//! | no less | of the same epoch as now | the higher of both: a lost record is made good (invariant 12) |
//! | less, or nothing | of the same epoch as now | what is committed: the group went back, or the topic was made anew |
//! | anything | of an earlier epoch | the mark: the answer is older than the record |

use std::collections::BTreeMap;

use tidegate_commit_log::{Key, Record};

use crate::watermark::{Change, Mark, Watermarks};

/// Something learnt about the commit log, the topics or the groups.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// So many partitions has the commit log.
    LogPartitions(u32),
    /// This partition of the commit log has been read to its end.
    LogEnd(i32),
    Record(Record),
    /// A key without a value: it is forgotten.
    Tombstone(Key),
    /// The topic of this name has this id.
    Topic {
        name: String,
        id: String,
    },
    /// What the group has committed, asked for by an `Ask`; `None` if nothing.
    Committed {
        key: Key,
        position: Option<i64>,
    },
    /// What was asked for could not be learnt.
    AskFailed(Key),
}

/// Which keys a fact may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Touched {
    Nothing,
    Key(Key),
    Everything,
}

/// Closed by default (invariant 5): [`position`](Self::position) is none until the log is loaded and the key is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gate {
    watermarks: Watermarks,
    /// How long to wait between two questions, milliseconds; none when groups are never asked.
    repair_ms: Option<u64>,
    asked: BTreeMap<Key, Asked>,
    answers: BTreeMap<Key, Answer>,
    /// Keys whose records may be about an earlier topic of the name, and the epoch that would prove them newer.
    doubted: BTreeMap<Key, u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Asked {
    mark: Option<Mark>,
    at_ms: u64,
    /// No answer yet; there is one question at a time.
    is_open: bool,
    /// The answer is about an earlier assignment, and is passed over.
    is_void: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Answer {
    /// What the commit log said when the question was asked.
    mark: Option<Mark>,
    committed: Option<i64>,
}

impl Gate {
    pub fn new(repair_ms: Option<u64>) -> Self {
        let (asked, answers, doubted) = Default::default();
        Self { watermarks: Watermarks::default(), repair_ms, asked, answers, doubted }
    }

    pub(crate) fn learn(&mut self, fact: &Fact) -> (Touched, Change) {
        let touched = match fact {
            Fact::LogPartitions(count) => self.loading(|watermarks| watermarks.set_partitions(*count)),
            Fact::LogEnd(partition) => self.loading(|watermarks| watermarks.end(*partition)),
            Fact::Record(record) => return (Touched::Key(Key::of(record)), self.watermarks.record(record)),
            Fact::Tombstone(key) => {
                self.watermarks.forget(key);
                Touched::Key(key.clone())
            }
            Fact::Topic { name, id } => {
                self.watermarks.set_topic(name, Some(id));
                Touched::Everything
            }
            Fact::Committed { key, position } => self.answered(key, *position),
            Fact::AskFailed(key) => {
                if let Some(asked) = self.asked.get_mut(key) {
                    asked.is_open = false;
                }
                Touched::Nothing
            }
        };
        (touched, Change::None)
    }

    /// The end of a partition is reached again after every record; only the first time opens anything.
    fn loading(&mut self, change: impl FnOnce(&mut Watermarks)) -> Touched {
        let before = self.is_loaded();
        change(&mut self.watermarks);
        if self.is_loaded() == before { Touched::Nothing } else { Touched::Everything }
    }

    fn answered(&mut self, key: &Key, committed: Option<i64>) -> Touched {
        match self.asked.get_mut(key) {
            Some(asked) if asked.is_open => {
                asked.is_open = false;
                if asked.is_void {
                    self.asked.remove(key);
                    return Touched::Nothing;
                }
                self.answers.insert(key.clone(), Answer { mark: asked.mark, committed });
                Touched::Key(key.clone())
            }
            _ => Touched::Nothing,
        }
    }

    /// Everything before it is written by the group of the key; none when that is not known.
    pub fn position(&self, key: &Key) -> Option<i64> {
        if !self.watermarks.is_loaded() {
            return None;
        }
        let mark = self.watermarks.mark(key);
        if self.repair_ms.is_none() {
            return mark.filter(|mark| self.is_believed(key, *mark)).map(|mark| mark.position);
        }
        let answer = self.answers.get(key)?;
        if mark.map(|mark| mark.epoch) != answer.mark.map(|mark| mark.epoch) {
            return mark.map(|mark| mark.position);
        }
        match self.below(answer) {
            true => answer.committed,
            false => answer.committed.max(mark.map(|mark| mark.position)),
        }
    }

    /// What the group has committed, and the higher position that the commit log said before: it has gone back, or the
    /// topic was made anew. None when all is well.
    pub(crate) fn committed_below(&self, key: &Key) -> Option<(Option<i64>, i64)> {
        let answer = self.answers.get(key).filter(|answer| self.below(answer))?;
        answer.mark.map(|mark| (answer.committed, mark.position))
    }

    fn below(&self, answer: &Answer) -> bool {
        answer.committed < answer.mark.map(|mark| mark.position)
    }

    fn is_believed(&self, key: &Key, mark: Mark) -> bool {
        self.watermarks.names_topic(key) || self.doubted.get(key).is_none_or(|epoch| mark.epoch > *epoch)
    }

    /// Whether the group shall be asked now; then an answer or a failure must follow. `wanted` says that the key holds
    /// somebody up; a key is asked for once in any case.
    pub(crate) fn ask(&mut self, key: &Key, wanted: bool, now_ms: u64) -> bool {
        let Some(repair_ms) = self.repair_ms.filter(|_| self.watermarks.is_loaded()) else { return false };
        let due = match self.asked.get(key) {
            None => true,
            Some(asked) if asked.is_open => false,
            Some(asked) => {
                (wanted || !self.answers.contains_key(key)) && now_ms.saturating_sub(asked.at_ms) >= repair_ms
            }
        };
        if due {
            let mark = self.watermarks.mark(key);
            self.asked.insert(key.clone(), Asked { mark, at_ms: now_ms, is_open: true, is_void: false });
        }
        due
    }

    /// What the group said is worth nothing any more: it must be asked again before the key opens.
    pub(crate) fn unconfirm(&mut self, key: &Key) {
        self.answers.remove(key);
        match self.asked.get_mut(key) {
            Some(asked) if asked.is_open => asked.is_void = true,
            _ => {
                self.asked.remove(key);
            }
        }
    }

    /// The topic may be another one than the records are about: only a record of a higher epoch, a topic's id or the group
    /// itself can say.
    pub(crate) fn doubt(&mut self, key: &Key) {
        self.unconfirm(key);
        if let Some(mark) = self.watermarks.mark(key) {
            self.doubted.insert(key.clone(), mark.epoch);
        }
    }

    /// The id of the topic must be learnt again.
    pub(crate) fn forget_topic(&mut self, topic: &str) {
        self.watermarks.set_topic(topic, None);
    }

    pub fn is_loaded(&self) -> bool {
        self.watermarks.is_loaded()
    }

    pub(crate) fn facts(&self) -> Vec<Fact> {
        self.watermarks.facts()
    }
}
