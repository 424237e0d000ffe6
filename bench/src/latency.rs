//! How long a lone message takes to be in the commit log.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use tidegate::commit_log::Record;
use tidegate_tests::kafka::{self, Sender};
use tidegate_tests::pipeline::Bed;
use tidegate_tests::tidegate::{Tidegate, wait_until};

use crate::Measured;

const MESSAGES: i64 = 20;
const BATCH_MS: f64 = 300.0;

/// From the message's timestamp to that of the commit-log record: both are given by producers on this machine.
pub fn measure() -> Result<Vec<Measured>> {
    let bed = Bed::new("latency", 1)?;
    let tidegate = bed.start("one")?;
    let sender = Sender::new(&bed.kafka, &bed.topic())?;
    for id in 0..MESSAGES {
        let payload = format!("{{\"version\": 1, \"id\": {id}, \"do\": \"row\"}}");
        sender.send(Some(0), "k", Some(payload.as_bytes()))?;
        sender.flush()?;
        wait_until(Duration::from_secs(60), || Ok(bed.said()?.get(&0) == Some(&(id + 1))))?;
    }
    let insert_ms = insert_seconds(&tidegate)? * 1000.0;
    tidegate.terminate()?;
    let mut said = BTreeMap::new();
    for record in kafka::read_all(&bed.kafka, &bed.commit_log())? {
        let decoded = Record::decode(&record.key, &record.value.unwrap_or_default(), None)?;
        said.entry(decoded.offset).or_insert(record.timestamp_ms);
    }
    let messages = kafka::read_all(&bed.kafka, &bed.topic())?;
    let took = |message: &kafka::Read| Some((said.get(&(message.offset + 1))? - message.timestamp_ms) as f64);
    let mut took: Vec<f64> = messages.iter().filter_map(took).collect();
    anyhow::ensure!(took.len() as i64 == MESSAGES, "{} of {MESSAGES} messages have a record each", took.len());
    took.sort_by(f64::total_cmp);
    let median = took[took.len() / 2];
    let plain = |what: &str, value| Measured { what: what.into(), value, bar: None, unit: "ms" };
    Ok(vec![
        plain("lone message to commit log, median, 300 ms batches", median),
        plain("  the insert of it, mean", insert_ms),
        Measured {
            what: "  beyond batch time and insert".into(),
            value: median - BATCH_MS - insert_ms,
            bar: Some(50.0),
            unit: "ms",
        },
    ])
}

/// The mean time of an insert, from `/metrics`.
fn insert_seconds(tidegate: &Tidegate) -> Result<f64> {
    let metrics = tidegate.get("/metrics")?;
    let value = |suffix: &str| {
        let line = metrics.lines().find(|line| line.starts_with(&format!("tidegate_insert_seconds_{suffix}")));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).context("no tidegate_insert_seconds")
    };
    Ok(value("sum")? / value("count")?)
}
