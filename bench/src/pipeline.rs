//! The whole pipeline against a table that keeps nothing: CPU per message and resident memory.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;
use tidegate_tests::kafka::{self, Sender};
use tidegate_tests::pipeline::Bed;
use tidegate_tests::tidegate::{Tidegate, look_every, wait_until};

use crate::Measured;
use crate::cpu::median;

pub fn measure(messages: u64) -> Result<Vec<Measured>> {
    let Through { cpu_us, seconds, most, early } = through("through", messages)?;
    let plain = |what: String, value, unit| Measured { what, value, bar: None, unit };
    Ok(vec![
        plain(format!("whole pipeline, 1 KiB, {messages} messages"), cpu_us, "CPU µs/message"),
        plain("  messages per second, sender and servers on the same cores".into(), messages as f64 / seconds, "/s"),
        Measured {
            what: "resident memory at most; 150 MiB + 3 × batch bytes".into(),
            value: mebibytes(most),
            bar: Some(RESIDENT_MIB_MAX),
            unit: "MiB",
        },
        plain("  in the first quarter".into(), mebibytes(early), "MiB"),
    ])
}

const ROUNDS: u64 = 5;
/// With batches of 64 MiB.
const RESIDENT_MIB_MAX: f64 = 150.0 + 3.0 * 64.0;

/// The same messages in one partition and in many: many successive ones to a partition, as producers send without keys, are
/// large batches on the wire; with each to the next, as by keys, batches are small, and librdkafka's own threads show what
/// that alone costs.
pub fn partitions(messages: u64) -> Result<Vec<Measured>> {
    let together = spread(messages, 500, "500 messages at a time")?;
    let apart = spread(messages, 1, "each message to the next partition")?;
    Ok(together.into_iter().chain(apart).collect())
}

/// Both topics are read at the same time by a process each: whatever else the machine does, it does it to both.
fn spread(messages: u64, at_a_time: u64, how: &str) -> Result<Vec<Measured>> {
    let of = |partitions| Stock::new(&format!("through-{at_a_time}-{partitions}"), partitions, at_a_time, messages);
    let (one, many) = (of(1)?, of(200)?);
    let (mut ratios, mut fetching, mut rest, mut costs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut resident, mut resident_of_one) = (0, 0);
    for _ in 0..ROUNDS {
        let [one, many] = read([&one, &many])?;
        ratios.push(many.all_us / one.all_us);
        fetching.push(many.librdkafka_us / one.librdkafka_us);
        rest.push((many.all_us - many.librdkafka_us) / (one.all_us - one.librdkafka_us));
        costs.push(one.all_us);
        resident = resident.max(many.resident);
        resident_of_one = resident_of_one.max(one.resident);
    }
    let plain = |what: &str, value, unit| Measured { what: what.into(), value, bar: None, unit };
    Ok(vec![
        Measured {
            what: format!("200 partitions / 1, {ROUNDS} × {messages} messages of 1 KiB, {how}"),
            value: median(ratios),
            bar: Some(1.15),
            unit: "×",
        },
        plain("  librdkafka's threads: fetch, check, unpack", median(fetching), "×"),
        plain("  everything else", median(rest), "×"),
        plain("  in one partition", median(costs), "CPU µs/message"),
        Measured {
            what: "  resident memory at most, 200 partitions; 150 MiB + 3 × batch bytes".into(),
            value: mebibytes(resident),
            bar: Some(RESIDENT_MIB_MAX),
            unit: "MiB",
        },
        plain("  in one partition", mebibytes(resident_of_one), "MiB"),
    ])
}

/// A topic with all its messages: how many come at once is then not a matter of who is faster.
struct Stock {
    bed: Bed,
    messages: u64,
    /// CPU seconds until a process has its partitions, all and librdkafka's: to start is not the messages' share.
    before: [f64; 2],
}

/// CPU of a message.
struct Reading {
    all_us: f64,
    /// Of that, in librdkafka's threads.
    librdkafka_us: f64,
    /// Bytes at most.
    resident: u64,
}

impl Stock {
    fn new(name: &str, partitions: i32, at_a_time: u64, messages: u64) -> Result<Self> {
        let bed = bed(name, partitions)?;
        let (idle, before) = started(&bed, "idle")?;
        idle.terminate()?;
        let sender = Sender::new(&bed.kafka, &bed.topic())?;
        for id in 0..messages {
            let partition = (id / at_a_time % partitions as u64) as i32;
            sender.send(Some(partition), "k", Some(payload(id).as_bytes()))?;
        }
        sender.flush()?;
        Ok(Self { bed, messages, before })
    }

    /// From the beginning, with a group that nobody knows.
    fn start(&self) -> Result<Tidegate> {
        tidegate_tests::runtime().block_on(kafka::forget_group(&self.bed.kafka, &self.bed.group()))?;
        self.bed.start("one")
    }

    fn reading(&self, tidegate: &Tidegate) -> Reading {
        let after = used(tidegate);
        let [all_us, librdkafka_us] =
            [0, 1].map(|index| (after[index] - self.before[index]) * 1e6 / self.messages as f64);
        Reading { all_us, librdkafka_us, resident: tidegate.usage().resident_bytes_at_most() }
    }
}

/// Reads both to their ends.
fn read(stocks: [&Stock; 2]) -> Result<[Reading; 2]> {
    let [one, two] = stocks.map(Stock::start);
    let processes = [one?, two?];
    let mut readings = [None, None];
    look_every(LOOK_EVERY, 10 * MINUTE, || {
        for ((stock, tidegate), reading) in stocks.iter().zip(&processes).zip(&mut readings) {
            if reading.is_none() && stock.bed.is_done()? {
                *reading = Some(stock.reading(tidegate));
            }
        }
        Ok(readings.iter().all(Option::is_some))
    })?;
    for tidegate in processes {
        tidegate.terminate()?;
    }
    Ok(readings.map(|reading| reading.expect("looked for above")))
}

/// Each look makes clients, on the same cores.
const LOOK_EVERY: Duration = Duration::from_millis(500);

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// What a run cost.
struct Through {
    /// Per message.
    cpu_us: f64,
    seconds: f64,
    /// Resident bytes at most, and at most in the first quarter.
    most: u64,
    early: u64,
}

fn through(name: &str, messages: u64) -> Result<Through> {
    let bed = bed(name, 4)?;
    let (tidegate, [before, _]) = started(&bed, "one")?;
    let sender = Sender::new(&bed.kafka, &bed.topic())?;
    let (mut early, mut most) = (0, 0);
    let started = Instant::now();
    for id in 0..messages {
        sender.send(Some((id % 4) as i32), "k", Some(payload(id).as_bytes()))?;
        if id % 50_000 == 0 {
            let resident = tidegate.usage().resident_bytes();
            early = if id <= messages / 4 { early.max(resident) } else { early };
            most = most.max(resident);
        }
    }
    sender.flush()?;
    wait_until(10 * MINUTE, || bed.is_done())?;
    let seconds = started.elapsed().as_secs_f64();
    let cpu_us = (tidegate.usage().cpu_seconds() - before) * 1e6 / messages as f64;
    tidegate.terminate()?;
    Ok(Through { cpu_us, seconds, most, early })
}

const MINUTE: Duration = Duration::from_secs(60);

/// Its table keeps nothing.
fn bed(name: &str, partitions: i32) -> Result<Bed> {
    let mut bed = Bed::new(name, partitions)?;
    bed.database.run("DROP TABLE poison")?;
    bed.database.run("CREATE TABLE poison (id UInt64, kind Enum8('a' = 1, 'b' = 2), note Nullable(String), partition UInt16, offset UInt64) ENGINE = Null")?;
    bed.batch = "{ rows: 50000, bytes: 64MiB, time: 2s }".into();
    Ok(bed)
}

/// A process that has been given its partitions, and what it used until then.
fn started(bed: &Bed, process: &str) -> Result<(Tidegate, [f64; 2])> {
    let tidegate = bed.start(process)?;
    let held = |status: Value| status["pipelines"][&bed.name]["partitions"].as_object().map_or(0, serde_json::Map::len);
    wait_until(MINUTE, || Ok(tidegate.status().map_or(0, held) == bed.partitions as usize))?;
    let used = used(&tidegate);
    Ok((tidegate, used))
}

/// CPU seconds, and those of librdkafka's threads.
fn used(tidegate: &Tidegate) -> [f64; 2] {
    [tidegate.usage().cpu_seconds(), tidegate.usage().cpu_seconds_of("rdk:")]
}

fn payload(id: u64) -> String {
    let note: u64 = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{{\"version\": 1, \"id\": {id}, \"do\": \"row\", \"note\": \"{note:0900}\"}}")
}
