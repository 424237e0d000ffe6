//! What readers downstream cost: many who wait for one commit log, and many partitions that are followed.

use std::time::Duration;

use anyhow::{Result, ensure};
use tidegate_client::{
    CommitLog, LogSettings, Partition, Record, SynchronizedConsumer, SynchronizedSettings, Token, WaitFor,
};
use tidegate_tests::kafka::{self, Sender};
use tidegate_tests::servers;
use tidegate_tests::tidegate::wait_until;
use tidegate_tests::usage::Usage;

use crate::Measured;

const WAITERS: [usize; 3] = [1, 100, 10_000];
const RECORDS: i64 = 10_000;
const PARTITIONS: [i32; 3] = [1, 100, 1000];
const MESSAGES: i32 = 100_000;
const GROUP: &str = "writers";
const PATIENCE: Duration = Duration::from_secs(120);
/// Nobody is asked: what is measured is the log.
const SETTINGS: LogSettings = LogSettings { repair: None, refresh: Duration::from_secs(60) };

pub fn measure() -> Result<Vec<Measured>> {
    let plain = |what: String, value, unit| Measured { what, value, bar: None, unit };
    let mut table = Vec::new();
    for count in WAITERS {
        let (cpu_us, bytes) = waiters(count)?;
        table.push(plain(
            format!("{RECORDS} records come, {count} wait: the thread that reads the log"),
            cpu_us,
            "CPU µs/record",
        ));
        table.push(plain("  resident memory of the waits".into(), bytes / 1024.0, "KiB"));
    }
    for count in PARTITIONS {
        let (cpu_us, bytes) = partitions(count)?;
        table.push(plain(format!("{count} partitions followed, {MESSAGES} messages"), cpu_us, "CPU µs/message"));
        table.push(plain("  resident memory of the follower".into(), bytes / f64::from(1 << 20), "MiB"));
    }
    Ok(table)
}

/// Waits for positions all over the range that the records walk through.
fn waiters(count: usize) -> Result<(f64, f64)> {
    let (kafka, log) = (servers::kafka(), format!("waiters-{count}"));
    create(&kafka, &[(&log, 1)])?;
    let reading = CommitLog::start(&kafka::config(&kafka), &log, SETTINGS)?;
    wait_until(PATIENCE, || Ok(reading.status().is_loaded))?;
    let usage = Usage::of_this_process();
    let before = usage.resident_bytes() as f64;
    let token = |number: usize| Token {
        partition: Partition::new("events", 0),
        position: 1 + (number as i64 * RECORDS) / count as i64,
    };
    let waits: Vec<WaitFor> = (0..count).map(|number| reading.wait_for(&token(number), &[GROUP], PATIENCE)).collect();
    let bytes = usage.resident_bytes() as f64 - before;
    let started = usage.cpu_seconds_of("commit-log");
    let sender = Sender::new(&kafka, &log)?;
    for offset in 1..=RECORDS {
        say(&sender, "events", 0, offset)?;
    }
    sender.flush()?;
    for wait in waits {
        wait.wait()?;
    }
    wait_until(PATIENCE, || Ok(reading.status().records == RECORDS as u64))?;
    Ok(((usage.cpu_seconds_of("commit-log") - started) * 1e6 / RECORDS as f64, bytes))
}

/// Everything is written and said before the follower begins.
fn partitions(count: i32) -> Result<(f64, f64)> {
    let (kafka, topic, log) = (servers::kafka(), format!("followed-{count}"), format!("followed-{count}-log"));
    create(&kafka, &[(&topic, count), (&log, 1)])?;
    let (sender, log_sender) = (Sender::new(&kafka, &topic)?, Sender::new(&kafka, &log)?);
    for number in 0..MESSAGES {
        sender.send(Some(number % count), "k", Some(&[b'x'; 1024]))?;
    }
    for partition in 0..count {
        say(&log_sender, &topic, partition, i64::from(MESSAGES / count))?;
    }
    sender.flush()?;
    log_sender.flush()?;
    drop((sender, log_sender));
    let usage = Usage::of_this_process();
    let before = (usage.resident_bytes() as f64, usage.cpu_seconds());
    let reading = CommitLog::start(&kafka::config(&kafka), &log, SETTINGS)?;
    let mut config = kafka::config(&kafka);
    config.set("group.id", format!("{topic}-reader")).set("auto.offset.reset", "earliest");
    let settings = SynchronizedSettings { groups: vec![GROUP.into()], repair: None };
    let mut follower = SynchronizedConsumer::new(&config, &reading, &[&topic], settings)?;
    let mut delivered = 0;
    wait_until(PATIENCE, || {
        while let Some(message) = follower.poll(Duration::from_millis(10)) {
            message?;
            delivered += 1;
        }
        Ok(delivered == MESSAGES)
    })?;
    ensure!(delivered == MESSAGES, "{delivered} of {MESSAGES} messages were handed out");
    let (bytes, cpu) = (usage.resident_bytes() as f64 - before.0, usage.cpu_seconds() - before.1);
    Ok((cpu * 1e6 / f64::from(MESSAGES), bytes))
}

fn create(kafka: &str, topics: &[(&str, i32)]) -> Result<()> {
    tidegate_tests::runtime().block_on(kafka::create_topics(kafka, topics))
}

fn say(sender: &Sender, topic: &str, partition: i32, offset: i64) -> Result<()> {
    let record = Record { topic: topic.into(), partition, group: GROUP.into(), offset, ..Record::default() };
    sender.send(Some(0), &record.key(), Some(record.value().as_bytes()))
}
