//! One message, borrowed from the packed batch.

use crate::contract::Batch;
use crate::outcome::Rejection;

/// A Kafka message. Parts that the manifest does not want are empty.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    batch: &'a Batch,
    index: usize,
    topic: &'a str,
    partition: i32,
    first_header: usize,
}

/// A header: name and value.
pub type Header<'a> = (&'a [u8], &'a [u8]);

const PAYLOAD_NULL: u8 = 1;
const KEY_NULL: u8 = 2;

impl Batch {
    /// Without messages. `now`, milliseconds since 1970, is when it is processed.
    pub fn empty(now: i64) -> Self {
        Self {
            now,
            payloads: Vec::new(),
            ends: Vec::new(),
            runs: Vec::new(),
            nulls: Vec::new(),
            offsets: Vec::new(),
            timestamps: Vec::new(),
            keys: Vec::new(),
            key_ends: Vec::new(),
            header_data: Vec::new(),
            header_ends: Vec::new(),
            header_counts: Vec::new(),
        }
    }
}

impl<'a> Message<'a> {
    /// The messages of a batch, in order.
    pub(crate) fn each(batch: &'a Batch, topics: &'a [String]) -> impl Iterator<Item = Message<'a>> {
        let runs = batch.runs.iter().flat_map(|run| {
            let topic = topics.get(run.topic as usize).map_or("", String::as_str);
            std::iter::repeat_n((topic, run.partition), run.count as usize)
        });
        let mut first_header = 0;
        runs.enumerate().map(move |(index, (topic, partition))| {
            let message = Message { batch, index, topic, partition, first_header };
            first_header += batch.header_counts.get(index).map_or(0, |count| *count as usize);
            message
        })
    }

    /// The value.
    ///
    /// # Errors
    /// If it is null: most processors have no use for a tombstone.
    pub fn payload(&self) -> Result<&'a [u8], Rejection> {
        self.payload_or_null().ok_or_else(|| Rejection::new("the payload is null"))
    }

    pub fn payload_or_null(&self) -> Option<&'a [u8]> {
        (self.nulls() & PAYLOAD_NULL == 0).then(|| piece(&self.batch.payloads, &self.batch.ends, self.index))
    }

    /// The key, if the manifest wants keys and there is one.
    pub fn key(&self) -> Option<&'a [u8]> {
        let there = self.nulls() & KEY_NULL == 0 && !self.batch.key_ends.is_empty();
        there.then(|| piece(&self.batch.keys, &self.batch.key_ends, self.index))
    }

    /// The headers, if the manifest wants them, in their order.
    pub fn headers(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let batch = self.batch;
        let count = batch.header_counts.get(self.index).map_or(0, |count| *count as usize);
        (self.first_header..self.first_header + count).map(move |header| {
            let part = |part| piece(&batch.header_data, &batch.header_ends, part);
            (part(header * 2), part(header * 2 + 1))
        })
    }

    pub fn topic(&self) -> &'a str {
        self.topic
    }

    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// 0 unless the manifest wants offsets.
    pub fn offset(&self) -> i64 {
        self.batch.offsets.get(self.index).copied().unwrap_or(0)
    }

    /// The broker's timestamp, milliseconds since 1970; 0 unless the manifest wants timestamps.
    pub fn timestamp_ms(&self) -> i64 {
        self.batch.timestamps.get(self.index).copied().unwrap_or(0)
    }

    /// The batch's clock, milliseconds since 1970: the only clock there is.
    pub fn now_ms(&self) -> i64 {
        self.batch.now
    }

    fn nulls(&self) -> u8 {
        self.batch.nulls.get(self.index).copied().unwrap_or(0)
    }
}

fn piece<'a>(data: &'a [u8], ends: &[u32], index: usize) -> &'a [u8] {
    let start = if index == 0 { 0 } else { ends[index - 1] as usize };
    &data[start..ends[index] as usize]
}
