//! How long a lone message takes to be in the commit log.

use std::time::{Duration, Instant};

use anyhow::Result;
use tidegate_tests::kafka::Sender;
use tidegate_tests::pipeline::Bed;
use tidegate_tests::tidegate::wait_until;

use crate::Measured;

const MESSAGES: u64 = 20;
const BATCH_MS: f64 = 300.0;

pub fn measure() -> Result<Vec<Measured>> {
    let bed = Bed::new("latency", 1)?;
    let tidegate = bed.start("one")?;
    let sender = Sender::new(&bed.kafka, &bed.topic())?;
    let mut took = Vec::new();
    for id in 0..MESSAGES {
        let payload = format!("{{\"version\": 1, \"id\": {id}, \"do\": \"row\"}}");
        let started = Instant::now();
        sender.send(Some(0), "k", Some(payload.as_bytes()))?;
        sender.flush()?;
        wait_until(Duration::from_secs(60), || Ok(bed.said()?.get(&0) == Some(&(id as i64 + 1))))?;
        took.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    tidegate.terminate()?;
    took.sort_by(f64::total_cmp);
    let median = took[took.len() / 2];
    Ok(vec![
        Measured {
            what: "lone message to commit log, median, 300 ms batches".into(),
            value: median,
            bar: None,
            unit: "ms",
        },
        Measured {
            what: "  of it beyond the batch time (insert, publish, and looking every 50 ms)".into(),
            value: median - BATCH_MS,
            bar: None,
            unit: "ms",
        },
    ])
}
