//! What a commit log says already of the keys that are written here, and how a stay of a partition goes on from there.
//! Two logs can be recalled: Kafka's (`kafka::recall`) and the one of the simulation.

use crate::commit_log::Record;
use crate::offset::Partition;
use crate::source::{CommitNote, Place, PositionError};

/// Reads what was said.
pub trait Recall: Send + Sync + 'static {
    /// What the log says of these partitions and this group, in their order, once it is read to the end that it has now.
    fn recall(
        &self,
        group: &str,
        partitions: &[Partition],
    ) -> impl Future<Output = Result<Vec<Recalled>, RecallError>> + Send;
    /// The highest epoch that was read so far of a partition and a group; 0 without a record.
    fn epoch(&self, group: &str, partition: &Partition) -> u64;
}

/// What is known of a partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recalled {
    /// Of the topic that has the name now; none if the broker knows of no ids.
    pub topic_id: Option<String>,
    /// The highest record of the key by epoch and offset, whichever topic of the name it is about.
    pub last: Option<Record>,
}

/// Nothing may be said yet. It is tried again for ever.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RecallError {
    #[error("{0}\n\nhint: a commit log is read before it is written, by the user that writes it: READ on its topic")]
    Log(String),
    #[error(transparent)]
    Positions(#[from] PositionError),
}

/// What all records of a stay have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub epoch: u64,
    pub topic_id: Option<String>,
}

/// How a stay begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Beginning {
    pub standing: Standing,
    /// The position to be said at once, so that nobody believes what was said before for longer.
    pub said: Option<(i64, CommitNote)>,
}

impl Beginning {
    /// Followers take the maximum of (epoch, offset): who goes back must raise the epoch.
    ///
    /// | highest record | the group has committed | epoch | said at once |
    /// |---|---|---|---|
    /// | none | something, by us | 0 | that |
    /// | none | nothing | 0 | – |
    /// | none | something, by somebody else | 1 | – |
    /// | of this topic, or it names none | no less, by us | the same | that |
    /// | of this topic, or it names none | less, or by somebody else | one more | that |
    /// | of another topic | anything: it may be about that one | one more | 0 |
    ///
    /// Nothing is 0 where there is a record. By somebody else is how an operator sets a group back by hand; the position
    /// need not be lower than the highest record then: the last one of the process before may still be on its way.
    pub fn after(recalled: Recalled, committed: Option<Place>) -> Self {
        let is_set_by_hand = committed.is_some_and(|place| place.note.is_none());
        Self::of(recalled, committed, is_set_by_hand)
    }

    /// Of a stay that has begun, when there are records of a higher epoch: another process of the group, which the group
    /// has given up or not known yet, has begun as well. Set by hand is what it has dealt with.
    pub fn again(recalled: Recalled, committed: Option<Place>) -> Self {
        Self::of(recalled, committed, false)
    }

    fn of(recalled: Recalled, committed: Option<Place>, is_set_by_hand: bool) -> Self {
        let Recalled { topic_id, last } = recalled;
        let Some(last) = last else {
            let said = committed.and_then(|place| Some((place.position, place.note?)));
            return Self { standing: Standing { epoch: u64::from(is_set_by_hand), topic_id }, said };
        };
        let is_other = matches!((&last.topic_id, &topic_id), (Some(before), Some(now)) if before != now);
        let position = committed.filter(|_| !is_other).map_or(0, |place| place.position);
        let goes_back = is_other || is_set_by_hand || position < last.offset;
        // Who goes by times hears of no progress when it goes back.
        let before = CommitNote { orig_message_ts: last.orig_message_ts, received_p99: last.received_p99 };
        let note = committed.and_then(|place| place.note).filter(|_| !goes_back).unwrap_or(before);
        let epoch = last.epoch.saturating_add(u64::from(goes_back));
        Self { standing: Standing { epoch, topic_id }, said: Some((position, note)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Option<CommitNote> = Some(CommitNote { orig_message_ts: 7.0, received_p99: Some(6.0) });

    /// Of the topic `now`, with the highest record at 3, 100 of the topic `of`: epoch, what is said, and its time.
    fn after(of: Option<&str>, committed: Option<(i64, Option<CommitNote>)>) -> (u64, Option<(i64, f64)>) {
        let last =
            Record { offset: 100, epoch: 3, topic_id: of.map(Into::into), orig_message_ts: 9.0, ..Record::default() };
        let recalled = Recalled { topic_id: Some("now".into()), last: Some(last) };
        let begun = Beginning::after(recalled, committed.map(|(position, note)| Place { position, note }));
        assert_eq!(begun.standing.topic_id.as_deref(), Some("now"));
        (begun.standing.epoch, begun.said.map(|(position, note)| (position, note.orig_message_ts)))
    }

    #[test]
    fn a_stay_goes_on_as_the_table_says() {
        for of in [Some("now"), None] {
            assert_eq!(after(of, Some((100, OURS))), (3, Some((100, 7.0))));
            assert_eq!(after(of, Some((150, OURS))), (3, Some((150, 7.0))));
            assert_eq!(after(of, Some((99, OURS))), (4, Some((99, 9.0))), "the group went back");
            assert_eq!(after(of, Some((150, None))), (4, Some((150, 9.0))), "somebody else set it");
            assert_eq!(after(of, None), (4, Some((0, 9.0))), "the group has forgotten");
        }
        for committed in [None, Some((99, None)), Some((150, OURS))] {
            assert_eq!(after(Some("before"), committed), (4, Some((0, 9.0))), "the topic was made anew");
        }
    }

    #[test]
    fn who_begins_again_does_not_go_back_twice() {
        for committed in [None, Some(Place { position: 0, note: None })] {
            let last = Record { epoch: 3, ..Record::default() };
            let begun = Beginning::again(Recalled { topic_id: None, last: Some(last) }, committed);
            assert_eq!((begun.standing.epoch, begun.said.map(|(position, _)| position)), (3, Some(0)));
        }
    }

    #[test]
    fn the_first_stay_says_what_is_committed_by_us() {
        let place = |note| Some(Place { position: 5, note });
        let table = [(place(OURS), 0, Some((5, OURS.unwrap()))), (None, 0, None), (place(None), 1, None)];
        for (committed, epoch, said) in table {
            let begun = Beginning::after(Recalled::default(), committed);
            assert_eq!(begun, Beginning { standing: Standing { epoch, topic_id: None }, said });
        }
    }

    #[test]
    fn brokers_without_ids_make_no_topic_another_one() {
        let last = Record { offset: 100, topic_id: Some("before".into()), ..Record::default() };
        let recalled = Recalled { topic_id: None, last: Some(last) };
        let begun = Beginning::after(recalled, Some(Place { position: 100, note: OURS }));
        assert_eq!((begun.standing.epoch, begun.said), (0, Some((100, OURS.unwrap()))));
    }
}
