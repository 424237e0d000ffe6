//! A real Kafka for all tests of this program, and a host that is played.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tidegate_client::Record;
use tidegate_engines::Kafka;

static KAFKA: LazyLock<Mutex<Kafka>> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("tidegate-client-{}", std::process::id()));
    Mutex::new(Kafka::start(&folder).unwrap_or_else(|error| panic!("{error}")))
});

pub fn kafka() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", KAFKA.lock().unwrap().bootstrap());
    // Others run beside these tests.
    config.set("broker.address.family", "v4");
    config
}

pub fn consumer(group: &str) -> ClientConfig {
    let mut config = kafka();
    config.set("group.id", group).set("auto.offset.reset", "earliest").set("session.timeout.ms", "6000");
    config
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn admin() -> AdminClient<DefaultClientContext> {
    kafka().create().unwrap()
}

pub fn create(topic: &str, partitions: i32) {
    make(NewTopic::new(topic, partitions, TopicReplication::Fixed(1)));
}

/// Compacted as soon as a segment is closed, which takes half a second and another record.
pub fn create_log(topic: &str, partitions: i32) {
    let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let topic = topic.set("cleanup.policy", "compact").set("segment.ms", "500");
    make(topic.set("min.cleanable.dirty.ratio", "0.01"));
}

fn make(topic: NewTopic<'_>) {
    block_on(admin().create_topics([&topic], &AdminOptions::new())).unwrap().remove(0).unwrap();
}

pub fn delete(topic: &str) {
    block_on(admin().delete_topics(&[topic], &AdminOptions::new())).unwrap().remove(0).unwrap();
}

pub fn add_partitions(topic: &str, count: usize) {
    let partitions = NewPartitions::new(topic, count);
    block_on(admin().create_partitions([&partitions], &AdminOptions::new())).unwrap().remove(0).unwrap();
}

pub struct Sender(ThreadedProducer<DefaultProducerContext>);

impl Sender {
    pub fn new() -> Self {
        Self(kafka().set("acks", "all").set("linger.ms", "0").create().unwrap())
    }

    pub fn send(&self, topic: &str, partition: i32, key: &[u8], value: Option<&[u8]>) {
        let record = BaseRecord::to(topic).partition(partition).key(key);
        let record = value.into_iter().fold(record, BaseRecord::payload);
        self.0.send(record).map_err(|(error, _)| error).unwrap();
    }

    pub fn flush(&self) {
        self.0.flush(Duration::from_secs(20)).unwrap();
    }
}

/// Groups that write one topic, as far as the test says.
pub struct Host {
    pub topic: String,
    pub log: String,
    sender: Sender,
    groups: Vec<(String, BaseConsumer, Vec<AtomicI64>)>,
}

impl Host {
    pub fn new(topic: &str, partitions: usize, log: &str, groups: &[&str]) -> Self {
        let group = |name: &&str| {
            let client = consumer(name).set("enable.auto.commit", "false").create().unwrap();
            ((*name).to_owned(), client, (0..partitions).map(|_| AtomicI64::new(0)).collect())
        };
        let groups = groups.iter().map(group).collect();
        Self { topic: topic.to_owned(), log: log.to_owned(), sender: Sender::new(), groups }
    }

    /// How far all groups have written, now.
    pub fn durable(&self, partition: i32) -> i64 {
        self.groups.iter().map(|(_, _, at)| at[partition as usize].load(Ordering::SeqCst)).min().unwrap()
    }

    /// The rows are durable.
    pub fn write(&self, group: usize, partition: i32, position: i64) {
        self.groups[group].2[partition as usize].store(position, Ordering::SeqCst);
    }

    pub fn commit(&self, group: usize, partition: i32, position: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, partition, Offset::Offset(position)).unwrap();
        // The first of a group may come before its coordinator is there.
        let deadline = Instant::now() + Duration::from_secs(30);
        while let Err(error) = self.groups[group].1.commit(&list, CommitMode::Sync) {
            assert!(Instant::now() < deadline, "{error}");
        }
    }

    /// Says so, in a partition of the commit log that depends on nothing.
    pub fn publish(&self, group: usize, partition: i32, position: i64) {
        self.publish_record(&self.record(group, partition, position), 0);
    }

    pub fn record(&self, group: usize, partition: i32, offset: i64) -> Record {
        let group = self.groups[group].0.clone();
        Record { topic: self.topic.clone(), partition, group, offset, ..Record::default() }
    }

    pub fn publish_record(&self, record: &Record, log_partition: i32) {
        self.sender.send(&self.log, log_partition, record.key().as_bytes(), Some(record.value().as_bytes()));
        self.sender.flush();
    }

    /// In the order that is promised.
    pub fn advance(&self, group: usize, partition: i32, position: i64) {
        self.write(group, partition, position);
        self.commit(group, partition, position);
        self.publish(group, partition, position);
    }
}

/// Looks every 20 ms.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
