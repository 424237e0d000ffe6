//! A commit log as it is read: an account for every topic, partition and group that it speaks of. Earlier topics of the same
//! name have accounts of their own.

use std::collections::BTreeMap;

use tidegate_commit_log::{Counts, Key, Record};

use super::account::{Account, Said};
use crate::kafka::{self, Brokers, Seen, Tail};

/// All that a commit log has said, or with [`Last`] the last of it.
#[derive(Debug, Default)]
pub struct Ledger<A = Account> {
    /// By what the records call their topic; `None` for records that do not.
    accounts: BTreeMap<Key, BTreeMap<Option<String>, A>>,
    read: BTreeMap<i32, Read>,
    /// Messages that are no records, passed over.
    pub unreadable: u64,
}

/// A message of the log.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since 1970; none when the broker does not say.
    pub timestamp_ms: Option<i64>,
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
    /// Header `orig_message_ts`.
    pub time: Option<&'a [u8]>,
}

/// How far a partition of the log is read.
#[derive(Clone, Copy, Debug, Default)]
struct Read {
    next: i64,
    /// Offsets without a message so far: compaction has removed what was there.
    removed: i64,
}

/// What is kept of the records of one topic, partition and group.
pub trait Entry: Default {
    fn take(&mut self, said: Said, counts: Option<Counts>);

    /// What the last record said, by epoch and position.
    fn last(&self) -> Option<Said>;
}

/// Nothing but the last record: for logs of any length.
#[derive(Clone, Copy, Debug, Default)]
pub struct Last(Option<Said>);

/// The account of the topic that is there now, and what there is besides it.
#[derive(Debug)]
pub struct Chosen<'a, A = Account> {
    /// None when no record is about this topic.
    pub account: Option<&'a A>,
    /// Ends of what is said of earlier topics of the same name, or of a topic without its id.
    pub others: Vec<(Option<&'a str>, i64)>,
}

impl Entry for Account {
    fn take(&mut self, said: Said, counts: Option<Counts>) {
        self.take(said, counts);
    }

    fn last(&self) -> Option<Said> {
        self.last
    }
}

impl Entry for Last {
    fn take(&mut self, said: Said, _: Option<Counts>) {
        if self.0.is_none_or(|last| said.mark() >= last.mark()) {
            self.0 = Some(said);
        }
    }

    fn last(&self) -> Option<Said> {
        self.0
    }
}

impl<A: Entry> Ledger<A> {
    /// Reads a log to the end that is there now. Blocks.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(brokers: &Brokers, topic: &str) -> Result<Self, kafka::Error> {
        let what = Tail { topic: topic.to_owned(), from_beginning: true, follow: false };
        let mut ledger = Self::default();
        kafka::tail(brokers, &what, |seen| {
            if let Seen::Message { partition, offset, timestamp_ms, key, value, time } = seen {
                ledger.take(&Message { partition, offset, timestamp_ms, key, value, time });
            }
            true
        })?;
        Ok(ledger)
    }

    /// Takes the next message of its partition of the log.
    pub fn take(&mut self, message: &Message<'_>) {
        let read = self.read.entry(message.partition).or_default();
        read.removed += (message.offset - read.next).max(0);
        read.next = message.offset + 1;
        let removed = read.removed;
        let Some(value) = message.value else {
            match Key::decode(message.key) {
                Ok(key) => drop(self.accounts.remove(&key)),
                Err(_) => self.unreadable += 1,
            }
            return;
        };
        let Ok(record) = Record::decode(message.key, value, message.time) else {
            self.unreadable += 1;
            return;
        };
        let said = Said {
            epoch: record.epoch,
            position: record.offset,
            timestamp_ms: message.timestamp_ms,
            orig_message_ts: record.orig_message_ts,
            log_partition: message.partition,
            removed,
        };
        let of_topic = self.accounts.entry(Key::of(&record)).or_default();
        of_topic.entry(record.topic_id).or_default().take(said, record.counts);
    }

    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.accounts.keys()
    }

    /// Once any record of a key names its topic by id, only those count that name the topic with `id`. Where nobody says
    /// which that is, those that were written last count.
    pub fn choose(&self, key: &Key, id: Option<&str>) -> Chosen<'_, A> {
        let Some(of_topic) = self.accounts.get(key) else { return Chosen { account: None, others: Vec::new() } };
        let named = of_topic.keys().any(Option::is_some);
        let chosen = match id {
            Some(id) if named => Some(Some(id.to_owned())),
            _ => of_topic.iter().max_by_key(|(_, account)| account.last().map(Said::mark)).map(|(id, _)| id.clone()),
        };
        let account = chosen.as_ref().and_then(|id| of_topic.get(id));
        let others = of_topic.iter().filter(|(id, _)| Some(*id) != chosen.as_ref());
        let others = others.map(|(id, account)| (id.as_deref(), account.last().map_or(0, |last| last.position)));
        Chosen { account, others: others.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<'a>(offset: i64, key: &'a str, value: Option<&'a str>) -> Message<'a> {
        let value = value.map(str::as_bytes);
        Message { partition: 0, offset, timestamp_ms: Some(1), key: key.as_bytes(), value, time: None }
    }

    fn key() -> Key {
        Key { topic: "t".into(), partition: 0, group: "g".into() }
    }

    #[test]
    fn a_topic_made_anew_has_an_account_of_its_own() {
        let mut ledger = Ledger::<Account>::default();
        ledger.take(&message(0, "t:0:g", Some(r#"{"offset":90,"topic_id":"old"}"#)));
        ledger.take(&message(1, "t:0:g", Some(r#"{"offset":5,"epoch":1,"topic_id":"new"}"#)));
        let position = |id| {
            let chosen = ledger.choose(&key(), id);
            (chosen.account.and_then(|account| account.last).map(|last| last.position), chosen.others)
        };
        assert_eq!(position(Some("new")), (Some(5), vec![(Some("old"), 90)]));
        assert_eq!(position(None), (Some(5), vec![(Some("old"), 90)]), "the last that was written");
        assert_eq!(position(Some("newest")), (None, vec![(Some("new"), 5), (Some("old"), 90)]));
    }

    #[test]
    fn a_tombstone_ends_an_account_and_nonsense_is_counted() {
        let mut ledger = Ledger::<Account>::default();
        ledger.take(&message(0, "t:0:g", Some(r#"{"offset":90}"#)));
        ledger.take(&message(1, "t:0:g", Some("{")));
        ledger.take(&message(2, "t", None));
        assert_eq!((ledger.keys().count(), ledger.unreadable), (1, 2));
        ledger.take(&message(3, "t:0:g", None));
        assert_eq!(ledger.keys().count(), 0);
    }
}
