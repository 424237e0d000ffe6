//! Messages as they flow: a batch is one arena in the layout of the WIT contract, so a call copies it by memcpy.
//! Reading from Kafka fills it (`kafka`), processors read it (`processor`), dead letters are cut out of it.

use crate::credit::Credit;
use crate::offset::{Assignment, Counts, Covered, Partition, Progress, Range};
use crate::select::Select;

/// Successive messages, in the order read, of one or several partitions. A clone has a credit of its own.
#[derive(Clone, Debug, Default)]
pub struct MessageBatch {
    /// Message i is `payloads[ends[i-1]..ends[i]]`.
    pub payloads: Vec<u8>,
    pub ends: Vec<u32>,
    pub keys: Vec<u8>,
    pub key_ends: Vec<u32>,
    /// Name, value, name, value, …; two ends each.
    pub header_data: Vec<u8>,
    pub header_ends: Vec<u32>,
    /// Number of headers of message i.
    pub header_counts: Vec<u32>,
    /// Bit 0: the payload is null, bit 1: the key is null.
    pub nulls: Vec<u8>,
    pub offsets: Vec<i64>,
    /// Broker timestamps, milliseconds since 1970; 0 when the broker gave none.
    pub timestamps: Vec<i64>,
    /// Which partition the messages are from: successive stretches.
    pub runs: Vec<Run>,
    credit: Option<Credit>,
}

/// Successive messages of one partition: `count` in the batch, and between them those whose outcome is settled already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub partition: Partition,
    pub assignment: Assignment,
    pub count: u32,
    /// The position that this run starts from; at most the offset of its first message.
    pub start: i64,
    /// The position after its last message.
    pub end: i64,
    /// Broker timestamp of its last message.
    pub last_timestamp_ms: i64,
    /// Outcomes of the messages that are not in the batch.
    pub settled: Counts,
}

/// One message, borrowed from its batch.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub partition: &'a Partition,
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<&'a [u8]>,
    pub payload: Option<&'a [u8]>,
    headers: &'a [u8],
    header_ends: &'a [u32],
    headers_from: u32,
}

/// What a message is made of, to put it into a batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts<'a> {
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<&'a [u8]>,
    pub payload: Option<&'a [u8]>,
    /// A header's value may be null; it is kept as empty.
    pub headers: &'a [(&'a str, &'a [u8])],
}

const PAYLOAD_NULL: u8 = 1;
const KEY_NULL: u8 = 2;

impl MessageBatch {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// What the batch holds in memory, with what its vectors have in reserve.
    pub fn held_bytes(&self) -> usize {
        let words = self.ends.capacity() + self.key_ends.capacity() + self.header_ends.capacity();
        let words = words + self.header_counts.capacity() + 2 * (self.offsets.capacity() + self.timestamps.capacity());
        let bytes =
            self.payloads.capacity() + self.keys.capacity() + self.header_data.capacity() + self.nulls.capacity();
        bytes + 4 * words + self.runs.capacity() * size_of::<Run>() + size_of::<Self>()
    }

    /// Gives back what the vectors have in reserve: the batch grows no more.
    pub fn shrink_to_fit(&mut self) {
        for bytes in [&mut self.payloads, &mut self.keys, &mut self.header_data, &mut self.nulls] {
            bytes.shrink_to_fit();
        }
        for words in [&mut self.ends, &mut self.key_ends, &mut self.header_ends, &mut self.header_counts] {
            words.shrink_to_fit();
        }
        self.offsets.shrink_to_fit();
        self.timestamps.shrink_to_fit();
        self.runs.shrink_to_fit();
    }

    /// Opens a run: the messages pushed next are of this partition, and reading it went on at `start`.
    pub fn begin_run(&mut self, partition: Partition, assignment: Assignment, start: i64) {
        let settled = Counts::default();
        self.runs.push(Run { partition, assignment, count: 0, start, end: start, last_timestamp_ms: 0, settled });
    }

    /// # Panics
    /// Without a run, or when payloads pass 4 GiB: the reader cuts batches long before.
    pub fn push(&mut self, parts: Parts<'_>) {
        let run = self.runs.last_mut().expect("a message needs a run");
        run.count += 1;
        run.reach(parts.offset, parts.timestamp_ms);
        let mut nulls = 0;
        match parts.payload {
            Some(payload) => self.payloads.extend_from_slice(payload),
            None => nulls |= PAYLOAD_NULL,
        }
        match parts.key {
            Some(key) => self.keys.extend_from_slice(key),
            None => nulls |= KEY_NULL,
        }
        for (name, value) in parts.headers {
            self.push_header_part(name.as_bytes());
            self.push_header_part(value);
        }
        self.ends.push(end_of(&self.payloads));
        self.key_ends.push(end_of(&self.keys));
        self.header_counts.push(parts.headers.len() as u32);
        self.nulls.push(nulls);
        self.offsets.push(parts.offset);
        self.timestamps.push(parts.timestamp_ms);
    }

    /// A message that nobody asked for: the run covers it, and nothing of it is copied.
    ///
    /// # Panics
    /// Without a run.
    pub fn pass_over(&mut self, offset: i64, timestamp_ms: i64) {
        let run = self.runs.last_mut().expect("a message needs a run");
        run.settled.messages += 1;
        run.settled.unselected += 1;
        run.reach(offset, timestamp_ms);
    }

    fn push_header_part(&mut self, part: &[u8]) {
        self.header_data.extend_from_slice(part);
        self.header_ends.push(end_of(&self.header_data));
    }

    /// Holds the credit until the batch is dropped.
    pub fn hold(&mut self, credit: Credit) {
        self.credit = Some(credit);
    }

    pub fn iter(&self) -> impl Iterator<Item = Message<'_>> {
        let mut headers_from = 0;
        let runs = self.runs.iter().flat_map(|run| std::iter::repeat_n(&run.partition, run.count as usize));
        runs.enumerate().map(move |(i, partition)| {
            let from = headers_from;
            headers_from += self.header_counts[i] * 2;
            Message {
                partition,
                offset: self.offsets[i],
                timestamp_ms: self.timestamps[i],
                key: (self.nulls[i] & KEY_NULL == 0).then(|| span(&self.keys, &self.key_ends, i)),
                payload: (self.nulls[i] & PAYLOAD_NULL == 0).then(|| span(&self.payloads, &self.ends, i)),
                headers: &self.header_data,
                header_ends: &self.header_ends[..headers_from as usize],
                headers_from: from,
            }
        })
    }

    /// A copy of the messages `range`, one at least, as a batch of its own, to try them apart from the others. It holds
    /// no credit.
    pub fn part(&self, range: std::ops::Range<usize>) -> MessageBatch {
        let mut part = MessageBatch::default();
        let mut first = 0;
        let mut messages = self.iter().skip(range.start);
        for run in &self.runs {
            let last = first + run.count as usize;
            let (from, to) = (first.max(range.start), last.min(range.end));
            let start = if from == first { run.start } else { self.offsets[from - 1] + 1 };
            // A run of settled messages alone goes with the message after it, or at the end with the one before.
            let alone = range.contains(&first) || (first == range.end && first == self.len());
            let mine = if run.count > 0 { from < to } else { alone };
            first = last;
            if !mine {
                continue;
            }
            part.begin_run(run.partition.clone(), run.assignment, start);
            for message in messages.by_ref().take(to - from) {
                part.push_copy(&message);
            }
            if to == last {
                part.settle_as(run);
            }
        }
        part
    }

    /// A copy of what `select` takes from `starts` on, partition by partition: a batch of its own with its own credit. What is
    /// not taken is covered; what comes before the start is not.
    ///
    /// # Panics
    /// If the outcome of a message is settled already: nobody knows whether it comes before the start.
    pub fn taken(&self, starts: impl Fn(&Partition) -> i64, select: Option<&Select>) -> MessageBatch {
        let mut taken = MessageBatch::default();
        let mut messages = self.iter();
        for run in &self.runs {
            assert_eq!(run.settled, Counts::default(), "a batch is shared as it was read");
            let start = starts(&run.partition);
            if run.start.max(start) < run.end {
                taken.begin_run(run.partition.clone(), run.assignment, run.start.max(start));
            }
            for message in messages.by_ref().take(run.count as usize).filter(|message| message.offset >= start) {
                let headers: Vec<_> = message.headers().collect();
                match select {
                    Some(select) if !select.takes(message.key, &headers) => {
                        taken.pass_over(message.offset, message.timestamp_ms);
                    }
                    _ => taken.push_copy(&message),
                }
            }
        }
        taken.credit = self.credit.as_ref().map(|credit| credit.again(taken.held_bytes()));
        taken
    }

    /// The batch without the messages at `indexes`, which are in rising order: they are dead letters already.
    pub fn without(mut self, indexes: &[usize]) -> MessageBatch {
        let mut rest = MessageBatch { credit: self.credit.take(), ..MessageBatch::default() };
        let (mut messages, mut indexes) = (self.iter().enumerate(), indexes.iter().peekable());
        for run in &self.runs {
            rest.begin_run(run.partition.clone(), run.assignment, run.start);
            let mut settled = run.clone();
            for (index, message) in messages.by_ref().take(run.count as usize) {
                if indexes.next_if_eq(&&index).is_some() {
                    settled.settled.messages += 1;
                    settled.settled.dead_letters += 1;
                } else {
                    rest.push_copy(&message);
                }
            }
            rest.settle_as(&settled);
        }
        rest
    }

    fn push_copy(&mut self, message: &Message<'_>) {
        let headers: Vec<_> = message.headers().collect();
        self.push(Parts {
            offset: message.offset,
            timestamp_ms: message.timestamp_ms,
            key: message.key,
            payload: message.payload,
            headers: &headers,
        });
    }

    /// The last run reaches as far as `run`, and what is settled of it.
    fn settle_as(&mut self, run: &Run) {
        if let Some(last) = self.runs.last_mut() {
            (last.end, last.last_timestamp_ms) = (run.end, run.last_timestamp_ms);
            last.settled.clone_from(&run.settled);
        }
    }

    /// The ranges these messages cover, with the number of messages and the outcomes settled so far.
    pub fn progress(&self) -> Progress {
        let mut progress = Progress::default();
        for run in self.runs.iter().filter(|run| run.messages() > 0) {
            let counts = Counts { messages: run.messages(), ..run.settled.clone() };
            progress.cover(
                run.partition.clone(),
                Covered {
                    assignment: run.assignment,
                    range: Range::new(run.start, run.end),
                    last_timestamp_ms: Some(run.last_timestamp_ms),
                    received_ms: Vec::new(),
                    counts,
                },
            );
        }
        progress
    }
}

impl Parts<'_> {
    /// What the message holds in a batch.
    pub fn held_bytes(&self) -> usize {
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.len() + value.len() + 2 * size_of::<u32>()).sum();
        let columns = 3 * size_of::<u32>() + 2 * size_of::<i64>() + size_of::<u8>();
        self.payload.map_or(0, <[u8]>::len) + self.key.map_or(0, <[u8]>::len) + headers + columns
    }
}

impl Run {
    /// Those in the batch and those settled already.
    pub fn messages(&self) -> u64 {
        u64::from(self.count) + self.settled.messages
    }

    fn reach(&mut self, offset: i64, timestamp_ms: i64) {
        (self.end, self.last_timestamp_ms) = (offset + 1, timestamp_ms);
    }
}

impl<'a> Message<'a> {
    /// Names that are not UTF-8 come with replacement characters; Kafka clients do not send them.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let (data, ends) = (self.headers, self.header_ends);
        (self.headers_from as usize..ends.len()).step_by(2).map(move |h| {
            let name = std::str::from_utf8(span(data, ends, h)).unwrap_or("\u{fffd}");
            (name, span(data, ends, h + 1))
        })
    }
}

fn span<'a>(data: &'a [u8], ends: &[u32], i: usize) -> &'a [u8] {
    let start = if i == 0 { 0 } else { ends[i - 1] as usize };
    &data[start..ends[i] as usize]
}

fn end_of(data: &[u8]) -> u32 {
    u32::try_from(data.len()).expect("a batch holds less than 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::Credits;
    use crate::select::Rule;

    /// A run per word; `x` is a message of the batch, `.` one that is passed over.
    fn batch(runs: &[(i32, &str)]) -> MessageBatch {
        let (mut batch, mut offset) = (MessageBatch::default(), 0);
        for (partition, messages) in runs {
            batch.begin_run(Partition::new("events", *partition), Assignment(1), offset);
            for kind in messages.bytes() {
                match kind {
                    b'x' => batch.push(Parts { offset, timestamp_ms: 1000 + offset, ..Parts::default() }),
                    _ => batch.pass_over(offset, 1000 + offset),
                }
                offset += 1;
            }
        }
        batch
    }

    #[test]
    fn what_is_passed_over_is_covered_and_counted() {
        let batch = batch(&[(0, "..x."), (1, "..")]);
        assert_eq!(batch.len(), 1);
        let progress = batch.progress();
        let first = progress.get(&Partition::new("events", 0)).unwrap();
        assert_eq!((first.range, first.last_timestamp_ms), (Range::new(0, 4), Some(1003)));
        assert_eq!((first.counts.messages, first.counts.unselected), (4, 3));
        let second = progress.get(&Partition::new("events", 1)).unwrap();
        assert_eq!((second.range, second.counts.messages), (Range::new(4, 6), 2));
    }

    #[test]
    fn parts_cover_what_the_whole_covers() {
        let whole = batch(&[(2, ".."), (0, ".x.x"), (1, "..."), (1, "xx"), (0, "."), (3, "x"), (4, "..")]);
        for middle in 1..whole.len() {
            let (first, second) = (whole.part(0..middle), whole.part(middle..whole.len()));
            assert_eq!(first.len() + second.len(), whole.len());
            let mut progress = first.progress();
            progress.append(second.progress());
            assert_eq!(progress, whole.progress(), "cut at {middle}");
            let partitions = |batch: &MessageBatch| -> Vec<_> {
                batch.iter().map(|message| (message.partition.number, message.offset)).collect()
            };
            assert_eq!([partitions(&first), partitions(&second)].concat(), partitions(&whole));
        }
    }

    #[test]
    fn each_takes_what_it_selects_from_where_it_is() {
        let credits = Credits::new(10_000);
        let mut all = batch(&[(0, "xxxx"), (1, "xx"), (0, "xx")]);
        all.keys = b"abaabbab".to_vec();
        (all.key_ends, all.nulls) = ((1..=8).collect(), vec![0; 8]);
        all.hold(credits.take(60));
        let select = Select::new(vec![Rule::Key(vec![b"a".to_vec()])]);
        let taken = all.taken(|partition| if partition.number == 0 { 2 } else { 6 }, Some(&select));
        assert_eq!(taken.iter().map(|message| message.offset).collect::<Vec<_>>(), [2, 3, 6]);
        let progress = taken.progress();
        let of_0 = progress.get(&Partition::new("events", 0)).unwrap();
        assert_eq!((of_0.range, of_0.counts.messages, of_0.counts.unselected), (Range::new(2, 8), 4, 1));
        assert_eq!(of_0.last_timestamp_ms, Some(1007));
        assert_eq!(progress.get(&Partition::new("events", 1)), None, "all of it came before the start");
        assert_eq!(credits.in_flight(), 60 + taken.held_bytes());
        assert_eq!(all.taken(|_| 0, None).progress(), all.progress());
        let again = all.clone();
        drop((all, taken));
        assert_eq!(credits.in_flight(), 60);
        drop(again);
        assert_eq!(credits.in_flight(), 0);
    }

    #[test]
    fn what_is_taken_out_is_covered_and_counted() {
        let credits = Credits::new(100);
        let mut all = batch(&[(0, "x.x"), (1, "xx")]);
        all.hold(credits.take(60));
        let rest = all.without(&[0, 2, 3]);
        assert_eq!(rest.iter().map(|message| message.offset).collect::<Vec<_>>(), [2]);
        assert_eq!(credits.in_flight(), 60);
        let counts = rest.progress().counts();
        assert_eq!((counts.messages, counts.unselected, counts.dead_letters), (5, 1, 3));
        let second = rest.progress();
        assert_eq!(second.get(&Partition::new("events", 1)).unwrap().range, Range::new(3, 5));
        drop(rest);
        assert_eq!(credits.in_flight(), 0);
    }
}
