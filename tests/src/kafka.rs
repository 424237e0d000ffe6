//! Topics, as a test uses them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, FutureProducer, FutureRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// A message read back.
#[derive(Clone, Debug)]
pub struct Read {
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
    pub headers: BTreeMap<String, String>,
}

/// Sends messages without waiting for each.
pub struct Sender {
    producer: BaseProducer,
    topic: String,
}

/// Sends a message and waits until it is there.
pub struct Writer {
    producer: FutureProducer,
    topic: String,
}

/// As many copies as the brokers make by themselves.
const COPIES: TopicReplication<'static> = TopicReplication::Fixed(-1);

/// Makes topics.
///
/// # Errors
/// If the broker refuses.
pub async fn create_topics(bootstrap: &str, topics: &[(&str, i32)]) -> Result<()> {
    create(bootstrap, &topics.iter().map(|(name, count)| NewTopic::new(name, *count, COPIES)).collect::<Vec<_>>()).await
}

/// Makes a topic of one partition that is compacted as soon as a segment is closed: half a second and another record later.
///
/// # Errors
/// If the broker refuses.
pub async fn create_compacted(bootstrap: &str, topic: &str) -> Result<()> {
    let topic = NewTopic::new(topic, 1, COPIES).set("cleanup.policy", "compact").set("segment.ms", "500");
    create(bootstrap, &[topic.set("min.cleanable.dirty.ratio", "0.01")]).await
}

async fn create(bootstrap: &str, topics: &[NewTopic<'_>]) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = config(bootstrap).create()?;
    for made in admin.create_topics(topics, &AdminOptions::new()).await? {
        made.map_err(|(name, error)| anyhow::anyhow!("topic {name}: {error}"))?;
    }
    Ok(())
}

/// Gives a topic these settings; those that it had of its own are forgotten.
///
/// # Errors
/// If the broker refuses.
pub async fn configure_topic(bootstrap: &str, topic: &str, settings: &[(&str, &str)]) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = config(bootstrap).create()?;
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic));
    let change = settings.iter().fold(change, |change, (name, value)| change.set(name, value));
    for changed in admin.alter_configs([&change], &AdminOptions::new()).await? {
        changed.map_err(|(_, error)| anyhow::anyhow!("topic {topic}: {error}"))?;
    }
    Ok(())
}

/// A topic's setting in force.
///
/// # Errors
/// If the broker refuses, or there is none.
pub async fn topic_setting(bootstrap: &str, topic: &str, name: &str) -> Result<String> {
    let admin: AdminClient<DefaultClientContext> = config(bootstrap).create()?;
    let asked = admin.describe_configs([&ResourceSpecifier::Topic(topic)], &AdminOptions::new()).await?;
    let described = asked.into_iter().next().context("no answer")?;
    let described = described.map_err(|error| anyhow::anyhow!("topic {topic}: {error}"))?;
    described.get(name).and_then(|entry| entry.value.clone()).context("no such setting")
}

/// Messages of a topic, by partition, in order, to the end that is there now.
///
/// # Errors
/// If the topic cannot be read.
pub fn read_all(bootstrap: &str, topic: &str) -> Result<Vec<Read>> {
    let consumer: BaseConsumer = config(bootstrap).set("group.id", "tests-read").set("check.crcs", "true").create()?;
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10))?;
    let (mut list, mut ends) = (TopicPartitionList::new(), BTreeMap::new());
    for partition in metadata.topics()[0].partitions() {
        let (low, high) = consumer.fetch_watermarks(topic, partition.id(), Duration::from_secs(10))?;
        list.add_partition_offset(topic, partition.id(), Offset::Offset(low))?;
        if high > low {
            ends.insert(partition.id(), high);
        }
    }
    consumer.assign(&list)?;
    let mut read = Vec::new();
    while !ends.is_empty() {
        let Some(message) = consumer.poll(Duration::from_secs(30)) else { anyhow::bail!("{topic} does not go on") };
        let message = message?;
        if ends.get(&message.partition()).is_some_and(|end| message.offset() + 1 >= *end) {
            ends.remove(&message.partition());
        }
        let headers = message.headers().map(|all| {
            all.iter().map(|h| (h.key.to_owned(), String::from_utf8_lossy(h.value.unwrap_or_default()).into_owned()))
        });
        read.push(Read {
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
            key: message.key().unwrap_or_default().to_vec(),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.map(Iterator::collect).unwrap_or_default(),
        });
    }
    read.sort_by_key(|message| (message.partition, message.offset));
    Ok(read)
}

/// End of each partition.
///
/// # Errors
/// If the broker does not answer.
pub fn ends(bootstrap: &str, topic: &str) -> Result<BTreeMap<i32, i64>> {
    let consumer: BaseConsumer = config(bootstrap).create()?;
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10))?;
    let end = |id| Ok((id, consumer.fetch_watermarks(topic, id, Duration::from_secs(10))?.1));
    metadata.topics()[0].partitions().iter().map(|partition| end(partition.id())).collect()
}

/// Committed positions of a group; partitions without one are left out.
///
/// # Errors
/// If the broker does not answer.
pub fn committed(bootstrap: &str, group: &str, topic: &str) -> Result<BTreeMap<i32, i64>> {
    let consumer: BaseConsumer = config(bootstrap).set("group.id", group).create()?;
    let mut list = TopicPartitionList::new();
    for partition in ends(bootstrap, topic)?.keys() {
        list.add_partition(topic, *partition);
    }
    let committed = consumer.committed_offsets(list, Duration::from_secs(10))?;
    let positions = committed.elements().into_iter().filter_map(|element| match element.offset() {
        Offset::Offset(position) => Some((element.partition(), position)),
        _ => None,
    });
    Ok(positions.collect())
}

/// Deletes the messages before a position, as retention does.
///
/// # Errors
/// If the broker refuses.
pub async fn delete_before(bootstrap: &str, topic: &str, partition: i32, position: i64) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = config(bootstrap).create()?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(position))?;
    admin.delete_records(&list, &AdminOptions::new()).await?;
    Ok(())
}

/// Deletes a topic with everything in it and makes one of the same name.
///
/// # Errors
/// If the broker refuses, or still has the old one after a minute.
pub async fn make_anew(bootstrap: &str, topic: &str, partitions: i32) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = config(bootstrap).create()?;
    for deleted in admin.delete_topics(&[topic], &AdminOptions::new()).await? {
        deleted.map_err(|(name, error)| anyhow::anyhow!("topic {name}: {error}"))?;
    }
    let started = std::time::Instant::now();
    while let Err(error) = create_topics(bootstrap, &[(topic, partitions)]).await {
        anyhow::ensure!(started.elapsed() < Duration::from_secs(60), "{error}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// Moves positions of a group that has no members.
///
/// # Errors
/// If the broker refuses.
pub fn commit(
    bootstrap: &str,
    group: &str,
    topic: &str,
    positions: impl IntoIterator<Item = (i32, i64)>,
) -> Result<()> {
    let consumer: BaseConsumer = config(bootstrap).set("group.id", group).create()?;
    let mut list = TopicPartitionList::new();
    for (partition, position) in positions {
        list.add_partition_offset(topic, partition, Offset::Offset(position))?;
    }
    consumer.commit(&list, CommitMode::Sync).context("committing")
}

/// Forgets the positions of a group that has no members.
///
/// # Errors
/// If the broker refuses.
pub async fn forget_group(bootstrap: &str, group: &str) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = config(bootstrap).create()?;
    for deleted in admin.delete_groups(&[group], &AdminOptions::new()).await? {
        deleted.map_err(|(name, error)| anyhow::anyhow!("group {name}: {error}"))?;
    }
    Ok(())
}

/// Which broker leads a partition.
///
/// # Errors
/// If nobody knows.
pub fn leader(bootstrap: &str, topic: &str, partition: i32) -> Result<i32> {
    let consumer: BaseConsumer = config(bootstrap).create()?;
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10))?;
    let partitions = metadata.topics().first().context("no metadata")?.partitions();
    Ok(partitions.iter().find(|found| found.id() == partition).context("no such partition")?.leader())
}

/// What any client needs.
pub fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

impl Writer {
    /// # Errors
    /// If no client can be made.
    pub fn new(bootstrap: &str, topic: &str) -> Result<Self> {
        let producer = config(bootstrap).set("acks", "all").set("enable.idempotence", "true").create()?;
        Ok(Self { producer, topic: topic.to_owned() })
    }

    /// Returns the message's partition and offset.
    ///
    /// # Errors
    /// If it is not acknowledged.
    pub async fn write(&self, partition: i32, key: &str, payload: &[u8]) -> Result<(i32, i64)> {
        let record = FutureRecord::to(&self.topic).partition(partition).key(key).payload(payload);
        let delivery = self.producer.send(record, Duration::from_secs(30)).await.map_err(|(error, _)| error)?;
        Ok((delivery.partition, delivery.offset))
    }
}

impl Sender {
    /// # Errors
    /// If no client can be made.
    pub fn new(bootstrap: &str, topic: &str) -> Result<Self> {
        let mut config = config(bootstrap);
        config.set("linger.ms", "50").set("compression.type", "lz4").set("acks", "all");
        config.set("queue.buffering.max.messages", "200000").set("enable.idempotence", "true");
        config.set("message.max.bytes", "100000000");
        Ok(Self { producer: config.create()?, topic: topic.to_owned() })
    }

    /// To a partition, or to that of the key. Waits while the queue is full.
    ///
    /// # Errors
    /// If the client refuses the message.
    pub fn send(&self, partition: Option<i32>, key: &str, payload: Option<&[u8]>) -> Result<()> {
        self.send_with(partition, key, payload, &[])
    }

    /// With headers, in this order.
    ///
    /// # Errors
    /// If the client refuses the message.
    pub fn send_with(
        &self,
        partition: Option<i32>,
        key: &str,
        payload: Option<&[u8]>,
        headers: &[(&str, &str)],
    ) -> Result<()> {
        loop {
            let mut record = BaseRecord::<str, [u8]>::to(&self.topic).key(key);
            record.payload = payload;
            record.partition = partition;
            record.headers = (!headers.is_empty()).then(|| {
                headers
                    .iter()
                    .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(*value) }))
            });
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    self.producer.poll(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(error).context("sending"),
            }
        }
    }

    /// Waits until everything is acknowledged.
    ///
    /// # Errors
    /// If something is not within a minute.
    pub fn flush(&self) -> Result<()> {
        self.producer.flush(Duration::from_secs(60)).context("flushing")
    }
}
