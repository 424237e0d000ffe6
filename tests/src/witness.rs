//! A reader of the commit log that takes it at its word: at every record it asks ClickHouse whether the rows are there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use tidegate::commit_log::Record;

use crate::pipeline::Bed;

/// Reads along in a thread of its own.
pub struct Witness {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<u64>>,
}

impl Witness {
    /// Every message of the bed's topic must become a row for this.
    ///
    /// # Errors
    /// If no client can be made.
    pub fn of(bed: &Bed) -> Result<Self> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &bed.kafka).set("group.id", "tests-witness");
        let consumer: BaseConsumer = config.create()?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&bed.commit_log(), 0, Offset::Beginning)?;
        consumer.assign(&list)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (database, stopped) = (bed.database.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut checked = 0;
            loop {
                let Some(message) = consumer.poll(Duration::from_millis(100)) else {
                    if stopped.load(Ordering::Acquire) {
                        return Ok(checked);
                    }
                    continue;
                };
                let message = message?;
                let (key, value) = (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
                let Record { partition, offset, .. } = Record::decode(key, value, None)?;
                let sql =
                    format!("SELECT uniqExact(offset) FROM poison WHERE partition = {partition} AND offset < {offset}");
                let rows = database.number(&sql)?;
                anyhow::ensure!(
                    rows == offset as u64,
                    "the commit log says {partition}@{offset}, and there are {rows} rows"
                );
                checked += 1;
            }
        });
        Ok(Self { stop, thread })
    }

    /// How many records were true. It reads to the end first.
    ///
    /// # Errors
    /// At the first record that was not.
    pub fn finish(self) -> Result<u64> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().map_err(|_| anyhow::anyhow!("the witness panicked"))?
    }
}
