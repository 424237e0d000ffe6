//! The synchronized consumer on a real Kafka.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::CommitMode;
use rdkafka::message::Message;
use tidegate_client::{CommitLog, LogSettings, Partition, Record, SynchronizedConsumer, SynchronizedSettings};

use crate::broker::{Host, Sender, consumer, create, create_log, delete, eventually, kafka};

const REPAIRED: LogSettings = LogSettings { repair: Some(Duration::from_millis(500)), refresh: Duration::from_secs(1) };

fn follower(
    log: &CommitLog,
    group: &str,
    topic: &str,
    groups: &[&str],
    repair: Option<Duration>,
) -> SynchronizedConsumer {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    let settings = SynchronizedSettings { groups, repair };
    SynchronizedConsumer::new(&consumer(group), log, &[topic], settings).unwrap()
}

fn send_messages(topic: &str, partitions: i32, each: i64) {
    let sender = Sender::new();
    for offset in 0..each {
        for partition in 0..partitions {
            sender.send(topic, partition, b"k", Some(offset.to_string().as_bytes()));
        }
    }
    sender.flush();
}

/// Everything a follower was handed, looked at as it comes.
struct Seen<'a> {
    host: &'a Host,
    next: BTreeMap<i32, i64>,
    count: usize,
}

impl Seen<'_> {
    /// Hands out until `is_done`, or nothing comes for a while.
    fn read(&mut self, follower: &mut SynchronizedConsumer, is_done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_done(self) {
            assert!(Instant::now() < deadline, "stuck at {:?}, {follower:?}", self.next);
            let Some(message) = follower.poll(Duration::from_millis(100)) else { continue };
            let message = message.unwrap();
            let (partition, offset) = (message.partition(), message.offset());
            let durable = self.host.durable(partition);
            assert!(offset < durable, "{partition}@{offset} came early: written is {durable}");
            let next = self.next.entry(partition).or_insert(0);
            assert_eq!(offset, *next, "partition {partition} is not in order");
            *next += 1;
            self.count += 1;
            follower.commit_message(&message, CommitMode::Async).unwrap();
        }
    }
}

/// Two groups at their own pace; the log is compacted and full of strangers; the follower is started again in between; the
/// last records are lost.
#[test]
fn real_two_groups_are_followed_over_compaction_restarts_and_lost_records() {
    const PARTITIONS: i32 = 3;
    const EACH: i64 = 400;
    create("followed", PARTITIONS);
    create_log("followed-log", 2);
    send_messages("followed", PARTITIONS, EACH);
    let host = Arc::new(Host::new("followed", PARTITIONS as usize, "followed-log", &["fast", "slow"]));
    let strangers = Sender::new();
    for (key, value) in [(&b"nonsense"[..], Some(&b"5"[..])), (b"followed:0:fast", Some(b"{")), (b"a:0:b", None)] {
        strangers.send("followed-log", 1, key, value);
    }
    strangers.flush();
    let log = CommitLog::start(&kafka(), "followed-log", REPAIRED).unwrap();
    let first_half = Arc::new(AtomicBool::new(false));
    let (writer, is_over) = (host.clone(), first_half.clone());
    let writing = std::thread::spawn(move || {
        for position in (10..=EACH).step_by(10) {
            for partition in 0..PARTITIONS {
                let is_lost = position == EACH;
                for group in 0..2 {
                    writer.write(group, partition, position);
                    writer.commit(group, partition, position);
                    // The slow group says nothing of its last range.
                    if !is_lost || group == 0 {
                        writer.publish(group, partition, position);
                    }
                }
            }
            if position >= EACH / 2 {
                is_over.store(true, Ordering::SeqCst);
            }
        }
    });
    let mut seen = Seen { host: &host, next: BTreeMap::new(), count: 0 };
    let mut one = follower(&log, "followers", "followed", &["fast", "slow"], REPAIRED.repair);
    let half = first_half.clone();
    seen.read(&mut one, |seen| half.load(Ordering::SeqCst) && seen.count > 300);
    drop(one);
    let before = log.status();
    assert!(before.is_loaded && before.unreadable == 2 && before.records > 1, "{before:?}");
    writing.join().unwrap();
    // Only now, so that a fresh reader finds a log of few records.
    compact(&host, before.records);
    let fresh = CommitLog::start(&kafka(), "followed-log", REPAIRED).unwrap();
    let mut two = follower(&fresh, "followers", "followed", &["fast", "slow"], REPAIRED.repair);
    seen.read(&mut two, |seen| seen.count == (PARTITIONS as i64 * EACH) as usize);
    assert!(two.poll(Duration::from_millis(300)).is_none());
    assert!(fresh.status().records < before.records, "{:?}, not compacted: {before:?}", fresh.status());
}

/// Until a reader finds less than half of the records. A segment is closed only by a record that comes later.
fn compact(host: &Host, records: u64) {
    let tick = Record { topic: "another".into(), group: "tick".into(), offset: 1, ..Record::default() };
    eventually("the log is compacted", || {
        host.publish_record(&tick, 0);
        let fresh = CommitLog::start(&kafka(), &host.log, REPAIRED).unwrap();
        eventually("the log is loaded", || fresh.status().is_loaded);
        fresh.status().records < records / 2
    });
}

#[test]
fn real_pauses_hold_and_other_partitions_go_on() {
    create("paused", 2);
    create_log("paused-log", 1);
    send_messages("paused", 2, 20);
    let host = Host::new("paused", 2, "paused-log", &["writers"]);
    let settings = LogSettings { repair: None, ..REPAIRED };
    let log = CommitLog::start(&kafka(), "paused-log", settings).unwrap();
    let mut follower = follower(&log, "pausers", "paused", &["writers"], None);
    let mut seen = Seen { host: &host, next: BTreeMap::new(), count: 0 };
    host.advance(0, 0, 5);
    seen.read(&mut follower, |seen| seen.count == 5);
    let zero = Partition::new("paused", 0);
    follower.pause(std::slice::from_ref(&zero));
    host.advance(0, 0, 10);
    host.advance(0, 1, 10);
    seen.read(&mut follower, |seen| seen.count == 15);
    assert_eq!(seen.next, [(0, 5), (1, 10)].into());
    assert!(follower.poll(Duration::from_millis(500)).is_none());
    assert_eq!(follower.watermark(&zero), Some(10));
    assert_eq!(follower.waiting().collect::<Vec<_>>(), [(&Partition::new("paused", 1), 10)]);
    follower.resume(&[zero]);
    seen.read(&mut follower, |seen| seen.count == 20);
}

/// Two followers share the partitions; one leaves. Nobody reads early, and together they read everything.
#[test]
fn real_rebalances_between_followers_lose_nothing() {
    const PARTITIONS: i32 = 4;
    create("shared", PARTITIONS);
    create_log("shared-log", 1);
    send_messages("shared", PARTITIONS, 100);
    let host = Host::new("shared", PARTITIONS as usize, "shared-log", &["writers"]);
    let log = CommitLog::start(&kafka(), "shared-log", REPAIRED).unwrap();
    let start = || follower(&log, "sharers", "shared", &["writers"], REPAIRED.repair);
    let mut read: BTreeMap<(i32, i64), usize> = BTreeMap::new();
    let (mut one, mut other) = (start(), Some(start()));
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut position = 0;
    while read.len() < 400 {
        assert!(Instant::now() < deadline, "{} of 400 after a minute, {one:?}", read.len());
        if position < 100 && read.len() as i64 >= position * 4 {
            position += 10;
            (0..PARTITIONS).for_each(|partition| host.advance(0, partition, position));
        }
        for follower in [Some(&mut one), other.as_mut()].into_iter().flatten() {
            let Some(message) = follower.poll(Duration::from_millis(20)) else { continue };
            let message = message.unwrap();
            assert!(message.offset() < host.durable(message.partition()));
            *read.entry((message.partition(), message.offset())).or_default() += 1;
            follower.commit_message(&message, CommitMode::Sync).unwrap();
        }
        if read.len() > 200 {
            other = None;
        }
    }
    // Committed one by one, so that nothing is read again either.
    assert_eq!(read.values().sum::<usize>(), 400);
}

/// The log still says 100 of a topic that was deleted and made again with five messages.
#[test]
fn real_a_topic_made_anew_opens_nothing() {
    create("anew", 1);
    create_log("anew-log", 1);
    send_messages("anew", 1, 100);
    let host = Host::new("anew", 1, "anew-log", &["writers"]);
    host.advance(0, 0, 100);
    delete("anew");
    eventually("the topic can be made again", || std::panic::catch_unwind(|| create("anew", 1)).is_ok());
    host.write(0, 0, 0);
    send_messages("anew", 1, 5);
    let log = CommitLog::start(&kafka(), "anew-log", REPAIRED).unwrap();
    let mut asked = follower(&log, "anew-asked", "anew", &["writers"], REPAIRED.repair);
    eventually("the message is in hand", || {
        assert!(asked.poll(Duration::from_millis(100)).is_none(), "read early");
        asked.waiting().next().is_some()
    });
    host.write(0, 0, 3);
    host.commit(0, 0, 3);
    let mut seen = Seen { host: &host, next: BTreeMap::new(), count: 0 };
    seen.read(&mut asked, |seen| seen.count == 3);

    // The same by ids: nobody is asked, and a record of the topic that is there now opens.
    let log = CommitLog::start(&kafka(), "anew-log", LogSettings { repair: None, ..REPAIRED }).unwrap();
    host.publish_record(&Record { topic_id: Some("of-the-first".into()), ..host.record(0, 0, 100) }, 0);
    let mut by_id = follower(&log, "anew-by-id", "anew", &["writers"], None);
    eventually("the message is in hand, and the id is known", || {
        assert!(by_id.poll(Duration::from_millis(100)).is_none(), "read early");
        by_id.waiting().next().is_some() && log.status().topics.contains_key("anew")
    });
    let id = log.status().topics["anew"].clone();
    host.publish_record(&Record { topic_id: Some(id), ..host.record(0, 0, 2) }, 0);
    let mut seen = Seen { host: &host, next: BTreeMap::new(), count: 0 };
    seen.read(&mut by_id, |seen| seen.count == 2);
    assert!(by_id.poll(Duration::from_millis(500)).is_none());
}
