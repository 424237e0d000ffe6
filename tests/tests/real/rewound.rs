//! A group that is set back by hand, and a topic that is made anew: records of a higher epoch and of another id, so that
//! readers downstream wait again until the rows are there again.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::message::Message as _;
use tidegate::commit_log::Record;
use tidegate_client::{
    CommitLog, LogSettings, Partition, SynchronizedConsumer, SynchronizedSettings, Token, WaitError,
};
use tidegate_tests::kafka;
use tidegate_tests::pipeline::Bed;
use tidegate_tests::tidegate::{Tidegate, wait_until};

const SOON: Duration = Duration::from_secs(60);
const A_WHILE: Duration = Duration::from_secs(2);

/// A reader downstream that believes the log alone.
struct Downstream {
    kafka: ClientConfig,
    log: CommitLog,
    topic: String,
    group: String,
}

impl Downstream {
    fn of(bed: &Bed) -> Self {
        let mut kafka = ClientConfig::new();
        kafka.set("bootstrap.servers", &bed.kafka);
        let settings = LogSettings { repair: None, refresh: Duration::from_millis(500) };
        let log = CommitLog::start(&kafka, &bed.commit_log(), settings).unwrap();
        Self { kafka, log, topic: bed.topic(), group: bed.group() }
    }

    fn wait(&self, position: i64, timeout: Duration) -> Result<(), WaitError> {
        let token = Token { partition: Partition::new(self.topic.as_str(), 0), position };
        self.log.wait_for(&token, &[&self.group], timeout).wait()
    }

    /// How far the group is known to have come, as one that waits in vain is told.
    fn reached(&self) -> Option<i64> {
        match self.wait(i64::MAX, A_WHILE) {
            Err(WaitError::TimedOut { reached, .. }) => reached[0].1,
            other => panic!("{other:?}"),
        }
    }

    /// Begins at the first message.
    fn consumer(&self, name: &str) -> SynchronizedConsumer {
        let mut kafka = self.kafka.clone();
        kafka.set("group.id", format!("{}-{name}", self.group)).set("auto.offset.reset", "earliest");
        let settings = SynchronizedSettings { groups: vec![self.group.clone()], repair: None };
        SynchronizedConsumer::new(&kafka, &self.log, &[&self.topic], settings).unwrap()
    }
}

/// That these messages come, and no more for a while.
fn assert_delivered(consumer: &mut SynchronizedConsumer, offsets: std::ops::Range<i64>) {
    for offset in offsets {
        assert_eq!(consumer.poll(SOON).transpose().unwrap().map(|message| message.offset()), Some(offset));
    }
    assert!(consumer.poll(A_WHILE).is_none());
}

fn records(bed: &Bed) -> Vec<Record> {
    let read = kafka::read_all(&bed.kafka, &bed.commit_log()).unwrap();
    read.iter().map(|read| Record::decode(&read.key, read.value.as_deref().unwrap(), None).unwrap()).collect()
}

fn finish(bed: &Bed, tidegate: Tidegate) {
    wait_until(SOON, || bed.is_done()).unwrap_or_else(|error| panic!("{error}\n{}", tidegate.log()));
    assert_eq!(tidegate.terminate().unwrap().code(), Some(143));
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tidegate_tests::runtime().block_on(work)
}

#[test]
fn a_group_set_back_by_hand_closes_its_readers_until_the_rows_are_there_again() {
    let mut bed = Bed::new("set-back", 1).unwrap();
    bed.send((0..100).map(|id| (id, "row"))).unwrap();
    finish(&bed, bed.start("first").unwrap());
    let before = records(&bed);
    let id = before[0].topic_id.clone();
    assert!(id.is_some() && before.iter().all(|record| record.epoch == 0 && record.topic_id == id), "{before:?}");
    let downstream = Downstream::of(&bed);
    downstream.wait(100, SOON).unwrap();

    kafka::commit(&bed.kafka, &bed.group(), &bed.topic(), [(0, 40)]).unwrap();
    bed.database.run("TRUNCATE TABLE poison").unwrap();
    bed.send((100..120).map(|id| (id, "row"))).unwrap();
    // Nothing is written before it stops.
    bed.batch = "{ rows: 5000, bytes: 8MiB, time: 10m }".into();
    let second = bed.start("second").unwrap();
    wait_until(SOON, || Ok(records(&bed).iter().any(|record| record.epoch == 1)))
        .unwrap_or_else(|error| panic!("{error}\n{}", second.log()));
    let back = records(&bed).into_iter().find(|record| record.epoch == 1).unwrap();
    assert_eq!((back.offset, &back.topic_id, &back.counts), (40, &id, &None));
    assert_eq!(downstream.reached(), Some(40));
    let mut follower = downstream.consumer("follower");
    assert_delivered(&mut follower, 0..40);

    assert_eq!(second.terminate().unwrap().code(), Some(143));
    downstream.wait(120, SOON).unwrap();
    assert_eq!(bed.database.number("SELECT uniqExact(id) FROM poison").unwrap(), 80);
    assert_delivered(&mut follower, 40..120);
    let last = records(&bed).pop().unwrap();
    assert_eq!((last.epoch, last.offset, last.topic_id), (1, 120, id));
}

#[test]
fn a_topic_made_anew_is_not_opened_by_the_records_of_the_one_before() {
    let bed = Bed::new("remade", 1).unwrap();
    bed.send((0..50).map(|id| (id, "row"))).unwrap();
    finish(&bed, bed.start("first").unwrap());
    let id = records(&bed)[0].topic_id.clone();
    Downstream::of(&bed).wait(50, SOON).unwrap();

    block_on(kafka::make_anew(&bed.kafka, &bed.topic(), 1)).unwrap();
    bed.database.run("TRUNCATE TABLE poison").unwrap();
    bed.send((0..30).map(|id| (id, "row"))).unwrap();
    let downstream = Downstream::of(&bed);
    assert_eq!(downstream.reached(), None);
    let mut follower = downstream.consumer("follower");
    assert_delivered(&mut follower, 0..0);

    let second = bed.start("second").unwrap();
    downstream.wait(30, SOON).unwrap_or_else(|error| panic!("{error}\n{}", second.log()));
    assert_eq!(bed.database.number("SELECT uniqExact(id) FROM poison").unwrap(), 30);
    assert_delivered(&mut follower, 0..30);
    finish(&bed, second);
    let anew: Vec<_> = records(&bed).into_iter().filter(|record| record.topic_id != id).collect();
    assert_eq!((anew[0].offset, &anew[0].counts), (0, &None), "nothing of it is written at first");
    assert!(anew.iter().all(|record| record.epoch == 1 && record.topic_id.is_some()), "{anew:?}");
}
