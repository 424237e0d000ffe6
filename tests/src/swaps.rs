//! Two versions of a module that take turns while messages flow, and what came of it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::pipeline::Bed;
use crate::tidegate::{Tidegate, look_every, wait_until};
use crate::{kafka, variant};

const PATIENCE: Duration = Duration::from_secs(120);
const SOON: Duration = Duration::from_millis(10);
/// As events are; smaller ones are read faster than they can be sent.
const PAYLOAD_BYTES: usize = 1000;

/// What was seen.
#[derive(Debug)]
pub struct Swapped {
    pub messages: u64,
    pub swaps: usize,
    /// Milliseconds from the end of the last call of a module to the end of the first call of the next, ascending.
    pub gaps_ms: Vec<f64>,
    /// Between any two calls.
    pub usual: Gaps,
}

/// How long calls of a process were apart, as its metrics have it: the ends of their buckets in milliseconds, ascending, and
/// how many are in each.
#[derive(Debug)]
pub struct Gaps(Vec<(f64, f64)>);

/// Starts a process with all these messages before it, so that none waits for a sender, and swaps evenly over three quarters of
/// them; should it get near to their end, more are sent until all swaps are done.
///
/// # Errors
/// If a message was lost or doubled, a partition went back to an earlier version, or anybody had to rebalance.
pub fn run(bed: &Bed, messages: u64, swaps: usize) -> Result<(Swapped, Tidegate)> {
    let files = [variant::write(&bed.folder, 1, "good"), variant::write(&bed.folder, 2, "good")];
    let sender = kafka::Sender::new(&bed.kafka, &bed.topic())?;
    send(&sender, bed, messages)?;
    let process = bed.start("one")?;
    // A gap begins with a call.
    wait_until(PATIENCE, || {
        Ok(process.get("/metrics").is_ok_and(|text| text.contains("tidegate_call_seconds_count{")))
    })?;
    let is_over = AtomicBool::new(false);
    let more = std::thread::scope(|scope| {
        let sending = scope.spawn(|| send_more(&sender, bed, &process, messages, &is_over));
        let swapped = (1..=swaps).try_for_each(|swap| {
            let due = messages * 3 / 4 * swap as u64 / swaps as u64;
            look_every(SOON, PATIENCE, || Ok(read_by(&process)? >= due))?;
            load(bed, &process, &files[swap % 2])?;
            let is_seen = || Ok(history(bed, &process)?.last().is_some_and(|entry| entry["gap_us"].is_u64()));
            look_every(SOON, PATIENCE, is_seen)
        });
        is_over.store(true, Ordering::Release);
        swapped.and(sending.join().expect("the sender does not panic"))
    })?;
    wait_until(PATIENCE, || bed.is_done())?;
    let messages = messages + more;
    check(bed, &process, messages, swaps)?;
    let history = history(bed, &process)?;
    let gaps = history.iter().filter_map(|entry| Some(entry["gap_us"].as_f64()? / 1000.0));
    let mut gaps_ms: Vec<f64> = gaps.collect();
    gaps_ms.sort_by(f64::total_cmp);
    let usual = Gaps::of(&process.get("/metrics")?);
    Ok((Swapped { messages, swaps, gaps_ms, usual }, process))
}

/// # Errors
/// What the process says against it.
pub fn load(bed: &Bed, process: &Tidegate, file: &Path) -> Result<()> {
    let (done, text) = process.module(&["load", &bed.name, &file.display().to_string()])?;
    ensure!(done, "{text}");
    Ok(())
}

fn send(sender: &kafka::Sender, bed: &Bed, messages: u64) -> Result<()> {
    let payload = format!("{{\"padding\": \"{:PAYLOAD_BYTES$}\"}}", "");
    for number in 0..messages {
        sender.send(Some((number % bed.partitions as u64) as i32), "k", Some(payload.as_bytes()))?;
    }
    sender.flush()
}

/// Returns how many more there are.
fn send_more(sender: &kafka::Sender, bed: &Bed, process: &Tidegate, before: u64, is_over: &AtomicBool) -> Result<u64> {
    let mut more = 0;
    while !is_over.load(Ordering::Acquire) {
        if before + more - read_by(process)? < before / 8 {
            send(sender, bed, before / 8)?;
            more += before / 8;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    Ok(more)
}

/// Messages that the process has read.
fn read_by(process: &Tidegate) -> Result<u64> {
    let metrics = process.get("/metrics")?;
    let line = metrics.lines().find_map(|line| line.strip_prefix("tidegate_messages_total{"));
    Ok(line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0))
}

fn history(bed: &Bed, process: &Tidegate) -> Result<Vec<Value>> {
    Ok(serde_json::from_str(&process.get(&format!("/modules/{}/history", bed.name))?)?)
}

fn check(bed: &Bed, process: &Tidegate, messages: u64, swaps: usize) -> Result<()> {
    let number = |sql: &str| bed.database.number(sql);
    let (rows, distinct) =
        (number("SELECT count() FROM variant")?, number("SELECT uniqExact(partition, offset) FROM variant")?);
    ensure!((rows, distinct) == (messages, messages), "{rows} rows, {distinct} distinct, of {messages} messages");
    let changes = number(
        "SELECT max(changes) FROM (SELECT partition, countIf(version != before) AS changes FROM (SELECT partition, version, \
         lagInFrame(version, 1, version) OVER (PARTITION BY partition ORDER BY offset) AS before FROM variant) \
         GROUP BY partition)",
    )?;
    ensure!(changes <= swaps as u64, "a partition changed its version {changes} times in {swaps} swaps");
    let versions = number("SELECT uniqExact(version) FROM variant")?;
    ensure!(versions == if swaps == 0 { 1 } else { 2 }, "{versions} versions wrote rows");
    let metrics = process.get("/metrics")?;
    let rebalances: Vec<_> = metrics.lines().filter(|line| line.starts_with("tidegate_rebalances_total{")).collect();
    ensure!(rebalances.len() == 1 && rebalances[0].ends_with(" 1"), "more than the first assignment: {rebalances:?}");
    Ok(())
}

impl Gaps {
    fn of(metrics: &str) -> Self {
        let mut before = 0.0;
        let bucket = |line: &str| {
            let rest = line.strip_prefix("tidegate_call_gap_seconds_bucket{le=\"")?;
            let end = rest.split('"').next()?.parse().unwrap_or(f64::INFINITY);
            let below: f64 = rest.rsplit(' ').next()?.parse().ok()?;
            Some((end * 1000.0, below - std::mem::replace(&mut before, below)))
        };
        Self(metrics.lines().filter_map(bucket).collect())
    }

    /// The end of the bucket that this share of the gaps does not go beyond.
    pub fn of_calls(&self, share: f64) -> f64 {
        quantile(self.0.iter().copied(), share)
    }

    /// The end of the bucket of the gaps that this share of all moments falls into, at most: long gaps have more moments, so
    /// whoever comes at any time meets them more often than calls do.
    pub fn of_moments(&self, share: f64) -> f64 {
        quantile(self.0.iter().map(|(end, count)| (*end, if *count > 0.0 { count * end } else { 0.0 })), share)
    }
}

fn quantile(weights: impl Iterator<Item = (f64, f64)> + Clone, share: f64) -> f64 {
    let all: f64 = weights.clone().map(|(_, weight)| weight).sum();
    let mut below = 0.0;
    let found = weights.into_iter().find(|(_, weight)| {
        below += weight;
        below >= all * share
    });
    found.map_or(f64::NAN, |(end, _)| end)
}

impl Swapped {
    /// Milliseconds of the gap that this share of the swaps stays below.
    pub fn gap_ms(&self, share: f64) -> f64 {
        self.gaps_ms.get(((self.gaps_ms.len().max(1) - 1) as f64 * share) as usize).copied().unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_fall_into_long_gaps_more_often_than_calls_do() {
        let bucket = |end, below| format!("tidegate_call_gap_seconds_bucket{{le=\"{end}\",of=\"all\"}} {below}\n");
        let gaps = Gaps::of(&[bucket("0.001", 90), bucket("0.1", 100), bucket("+Inf", 100)].concat());
        assert_eq!((gaps.of_calls(0.5), gaps.of_calls(0.95), gaps.of_calls(1.0)), (1.0, 100.0, 100.0));
        assert_eq!((gaps.of_moments(0.05), gaps.of_moments(0.5)), (1.0, 100.0));
    }
}
