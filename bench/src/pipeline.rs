//! The whole pipeline against a table that keeps nothing: CPU per message and resident memory.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;
use tidegate_tests::kafka::Sender;
use tidegate_tests::pipeline::Bed;
use tidegate_tests::tidegate::{Tidegate, wait_until};

use crate::Measured;
use crate::cpu::median;

pub fn measure(messages: u64) -> Result<Vec<Measured>> {
    let Through { cpu_us, seconds, most, early } = through("through", messages)?;
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let plain = |what: String, value, unit| Measured { what, value, bar: None, unit };
    Ok(vec![
        plain(format!("whole pipeline, 1 KiB, {messages} messages"), cpu_us, "CPU µs/message"),
        plain("  messages per second, sender and servers on the same cores".into(), messages as f64 / seconds, "/s"),
        Measured {
            what: "resident memory at most; 150 MiB + 3 × batch bytes".into(),
            value: mebibytes(most),
            bar: Some(150.0 + 3.0 * 64.0),
            unit: "MiB",
        },
        plain("  in the first quarter".into(), mebibytes(early), "MiB"),
    ])
}

const ROUNDS: u64 = 3;

/// How messages are spread.
#[derive(Clone, Copy)]
struct Sent {
    partitions: i32,
    /// Successive messages to one partition: many, as producers send without keys, are large batches on the wire; with one,
    /// as by keys, the batches are small, and librdkafka's own threads show what that alone costs.
    at_a_time: u64,
}

/// The same messages in one partition and in many.
pub fn partitions(messages: u64) -> Result<Vec<Measured>> {
    let together = spread(messages, 500, "500 messages at a time")?;
    let apart = spread(messages, 1, "each message to the next partition")?;
    Ok(together.into_iter().chain(apart).collect())
}

fn spread(messages: u64, at_a_time: u64, how: &str) -> Result<Vec<Measured>> {
    let (mut ratios, mut fetching, mut rest, mut costs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let of = |partitions| {
            let name = format!("through-{at_a_time}-{partitions}-{round}");
            reading(&name, Sent { partitions, at_a_time }, messages / ROUNDS)
        };
        let (one, many) = (of(1)?, of(200)?);
        ratios.push(many.all_us / one.all_us);
        fetching.push(many.librdkafka_us / one.librdkafka_us);
        rest.push((many.all_us - many.librdkafka_us) / (one.all_us - one.librdkafka_us));
        costs.push(one.all_us);
    }
    let plain = |what: &str, value, unit| Measured { what: what.into(), value, bar: None, unit };
    Ok(vec![
        Measured {
            what: format!("200 partitions / 1, {ROUNDS} × {} messages of 1 KiB, {how}", messages / ROUNDS),
            value: median(ratios),
            bar: Some(1.15),
            unit: "×",
        },
        plain("  librdkafka's threads: fetch, check, unpack", median(fetching), "×"),
        plain("  everything else", median(rest), "×"),
        plain("  in one partition", median(costs), "CPU µs/message"),
    ])
}

/// CPU of a message.
struct Reading {
    all_us: f64,
    /// Of that, in librdkafka's threads.
    librdkafka_us: f64,
}

/// All messages are there before: how many come at once is then not a matter of who is faster. What it costs to start and to
/// be given partitions is not the messages' share; it is that of a process before, which found nothing.
fn reading(name: &str, sent: Sent, messages: u64) -> Result<Reading> {
    let bed = bed(name, sent.partitions)?;
    let (idle, before) = started(&bed, "idle")?;
    idle.terminate()?;
    let sender = Sender::new(&bed.kafka, &bed.topic())?;
    for id in 0..messages {
        let partition = (id / sent.at_a_time % sent.partitions as u64) as i32;
        sender.send(Some(partition), "k", Some(payload(id).as_bytes()))?;
    }
    sender.flush()?;
    let tidegate = bed.start("one")?;
    wait_until(10 * MINUTE, || bed.is_done())?;
    let after = used(&tidegate);
    tidegate.terminate()?;
    let [all_us, librdkafka_us] = [0, 1].map(|index| (after[index] - before[index]) * 1e6 / messages as f64);
    Ok(Reading { all_us, librdkafka_us })
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
