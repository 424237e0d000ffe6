//! The source against the embedded broker, where a real one cannot be made to fail at the right moment.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use super::{Brokers, CommitLogs, Observers, Publisher, Reset, Settings, Source};
use crate::commit_log;
use crate::message::MessageBatch;
use crate::metrics::Metrics;
use crate::offset::{Partition, Progress};
use crate::publish::{Publish, Record};
use crate::recall::Recall;
use crate::secret::Secret;
use crate::source::{Commit, Event, GroupNote, GroupPosition};
use crate::status::Status;

const SOON: Duration = Duration::from_secs(20);

fn broker(partitions: i32) -> (MockCluster<'static, DefaultProducerContext>, Brokers) {
    let broker = MockCluster::new(1).unwrap();
    broker.create_topic("events", partitions, 1).unwrap();
    // The embedded broker lets a rebalance last about as long as a session.
    let properties = [("session.timeout.ms", "3000"), ("heartbeat.interval.ms", "200")];
    let properties = properties.map(|(name, value)| (name.to_owned(), Secret::new(value))).into();
    let brokers = Brokers { bootstrap: broker.bootstrap_servers(), properties };
    (broker, brokers)
}

fn source(brokers: &Brokers, read_ahead_bytes: usize) -> Source {
    let settings = Settings {
        select: None,
        topic: "events".into(),
        group: "consumers".into(),
        pipelines: vec!["p".into()],
        start: Reset::Earliest,
        out_of_range: Reset::Error,
        read_ahead_bytes,
        drain_timeout: Duration::from_secs(60),
    };
    let observers = Observers(vec![(Metrics::new().pipeline("p"), Status::new().pipeline("p"))]);
    Source::start(brokers, settings, observers).unwrap()
}

async fn publish(brokers: &Brokers, values: impl Iterator<Item = Vec<u8>>) {
    let publisher = Publisher::new(brokers).unwrap();
    let record = |(number, value): (usize, _)| Record {
        topic: "events".into(),
        key: Some(number.to_le_bytes().to_vec()),
        value: Some(value),
        headers: Vec::new(),
    };
    let records = values.enumerate().map(record);
    for answer in futures::future::join_all(records.map(|record| publisher.publish(record))).await {
        answer.unwrap();
    }
}

/// The first event for which `is_it` gives something.
async fn next<T>(events: &mut UnboundedReceiver<Event>, is_it: impl Fn(Event) -> Option<T>) -> T {
    loop {
        let event = timeout(SOON, events.recv()).await.expect("nothing comes").expect("the source has ended");
        if let Some(found) = is_it(event) {
            return found;
        }
    }
}

fn messages(event: Event) -> Option<MessageBatch> {
    if let Event::Messages(batch) = event { Some(batch) } else { None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_at_once_when_the_group_has_thrown_us_out() {
    let (broker, brokers) = broker(2);
    let mut first = source(&brokers, 1 << 20);
    publish(&brokers, std::iter::once(b"one".to_vec())).await;
    let progress: Progress = next(&mut first.events, messages).await.progress();
    let (partition, covered) = progress.iter().next().unwrap();
    let end = GroupPosition {
        partition: partition.clone(),
        assignment: covered.assignment,
        position: covered.range.end,
        note: GroupNote { first: None, pipelines: BTreeMap::new() },
    };
    let _second = source(&brokers, 1 << 20);
    let is_flush = |event| if let Event::Flush(flush) = event { Some(flush) } else { None };
    let unanswered = next(&mut first.events, is_flush).await;
    broker.request_errors(RDKafkaApiKey::OffsetCommit, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID]);
    assert!(first.committer.commit(&[end]).await.is_err());
    let is_revoked = |event| if let Event::Revoked(gone) = event { Some(gone) } else { None };
    assert!(!next(&mut first.events, is_revoked).await.is_empty());
    drop(unanswered);
}

/// Of a partition that goes and comes back, some messages were taken from librdkafka and not read: they are not what is next.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_comes_back_is_read_from_its_position() {
    let (_broker, brokers) = broker(2);
    let mut first = source(&brokers, 100_000);
    publish(&brokers, std::iter::repeat_n(vec![b'x'; 10], 40)).await;
    let mut kept: Vec<MessageBatch> = Vec::new();
    while kept.iter().map(MessageBatch::len).sum::<usize>() < 40 {
        kept.push(next(&mut first.events, messages).await);
    }
    // The credit ends after three or four of these; all are taken at once.
    publish(&brokers, std::iter::repeat_n(vec![b'x'; 30_000], 100)).await;
    kept.push(next(&mut first.events, messages).await);

    let mut second = source(&brokers, 1000);
    let gone = loop {
        match timeout(SOON, first.events.recv()).await.expect("nothing is revoked").unwrap() {
            Event::Flush(flush) => flush.done.send(()).unwrap(),
            Event::Revoked(gone) => break gone[0].0.clone(),
            _ => {}
        }
    };
    second.stopper.stop();
    while let Some(event) = timeout(SOON, second.events.recv()).await.expect("the second does not stop") {
        if let Event::Flush(flush) = event {
            flush.done.send(()).unwrap();
        }
    }
    let is_back =
        |event| if let Event::Assigned(list) = event { list.into_iter().find(|a| a.partition == gone) } else { None };
    let back = next(&mut first.events, is_back).await;
    drop(kept);
    let first_of = |batch: MessageBatch| {
        let run = batch.runs.iter().find(|run| run.assignment == back.assignment)?.clone();
        let offset = batch.iter().find(|message| *message.partition == gone)?.offset;
        Some((run.start, offset))
    };
    let (start, offset) = next(&mut first.events, |event| first_of(messages(event)?)).await;
    assert_eq!((back.position, start, offset), (0, 0, 0));
}

/// librdkafka counts an error as a message, and goes on behind it after a rebalance.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_before_a_rebalance_costs_no_message() {
    let (broker, brokers) = broker(1);
    let mut first = source(&brokers, 1 << 20);
    let mut read: Vec<i64> = Vec::new();
    let mut read_until = async |is_last: fn(&Event, &[i64]) -> bool| {
        loop {
            let event = timeout(SOON, first.events.recv()).await.expect("nothing comes").expect("the source has ended");
            if let Event::Messages(batch) = &event {
                read.extend(batch.iter().map(|message| message.offset));
            }
            if is_last(&event, &read) {
                return read.clone();
            }
        }
    };
    publish(&brokers, std::iter::repeat_n(b"early".to_vec(), 40)).await;
    read_until(|_, read| read.last() == Some(&39)).await;
    broker.request_errors(RDKafkaApiKey::Fetch, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN; 1000]);
    publish(&brokers, std::iter::repeat_n(b"late".to_vec(), 40)).await;
    // The first keeps its partition, which stands still meanwhile.
    let _second = source(&brokers, 1 << 20);
    read_until(|event, _| matches!(event, Event::Assigned(_))).await;
    broker.clear_request_errors(RDKafkaApiKey::Fetch);
    let read = read_until(|_, read| read.last() == Some(&79)).await;
    assert_eq!(read, (0..80).collect::<Vec<i64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_exceeds_the_credit_by_one_message_at_most_when_sizes_jump() {
    const READ_AHEAD: usize = 100_000;
    const LARGE: usize = 50_000;
    let (_broker, brokers) = broker(1);
    let sizes = std::iter::repeat_n(10, 400).chain(std::iter::repeat_n(LARGE, 20));
    publish(&brokers, sizes.map(|size| vec![b'x'; size])).await;
    let mut source = source(&brokers, READ_AHEAD);
    let mut batches: Vec<MessageBatch> = vec![next(&mut source.events, messages).await];
    while let Ok(Some(event)) = timeout(Duration::from_millis(500), source.events.recv()).await {
        batches.extend(messages(event));
    }
    let held: usize = batches.iter().map(MessageBatch::held_bytes).sum();
    assert!((READ_AHEAD..READ_AHEAD + LARGE + 2000).contains(&held), "{held} bytes are held");
    // What was refused is not lost: it comes when the credit is given back.
    let mut read: usize = batches.drain(..).map(|batch| batch.len()).sum();
    while read < 420 {
        read += next(&mut source.events, messages).await.len();
    }
    assert_eq!(read, 420);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_partition_is_read_again_after_its_end_and_after_the_credit_ran_out() {
    const WAVE: usize = 3000;
    let (_broker, brokers) = broker(3);
    let mut source = source(&brokers, 20_000);
    for _ in 0..3 {
        publish(&brokers, std::iter::repeat_n(b"one".to_vec(), WAVE)).await;
        let mut read = 0;
        while read < WAVE {
            read += next(&mut source.events, messages).await.len();
        }
        assert_eq!(read, WAVE);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_log_is_recalled_to_the_end_that_it_has_when_asked() {
    let (broker, brokers) = broker(1);
    let log = CommitLogs::new(brokers.clone()).open("log", false).unwrap();
    let partitions = [Partition::new("events", 0)];
    let nothing = log.recall("consumers", &partitions).await.unwrap();
    assert_eq!(nothing[0].last, None, "a log that is not there says nothing");
    broker.create_topic("log", 2, 1).unwrap();
    let publisher = Publisher::new(&brokers).unwrap();
    for offset in 1..=20 {
        let record = commit_log::Record { offset, epoch: 3, ..record() };
        publisher.publish(commit_log::to_publish(&record, &"log".into())).await.unwrap();
        let recalled = log.recall("consumers", &partitions).await.unwrap();
        assert_eq!(recalled[0].last, Some(record));
    }
    assert_eq!(log.epoch("consumers", &partitions[0]), 3);
    assert_eq!(log.epoch("others", &partitions[0]), 0);
}

fn record() -> commit_log::Record {
    commit_log::Record { topic: "events".into(), group: "consumers".into(), ..commit_log::Record::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_read_is_an_error_that_says_so() {
    let (broker, brokers) = broker(1);
    let log = CommitLogs::new(brokers).open("log", false).unwrap();
    drop(broker);
    let error = log.recall("consumers", &[Partition::new("events", 0)]).await.unwrap_err().to_string();
    assert!(error.starts_with("failed to read commit log \"log\" to its end"), "{error}");
    assert!(error.contains("\n\nhint: "), "{error}");
}
