//! The errors processor without a sandbox, built with the inlining flags of the guests: reads messages from standard
//! input (length, bytes, …, zero), then answers every line with CPU nanoseconds per message of one round.

use std::io::{BufRead, Read, Write};

use errors::Errors;
use tidegate_processor::Runner;
use tidegate_processor::contract::{Batch, Run};

fn main() -> anyhow::Result<()> {
    let mut input = std::io::stdin().lock();
    let mut messages = Vec::new();
    loop {
        let mut length = [0; 4];
        input.read_exact(&mut length)?;
        match u32::from_le_bytes(length) as usize {
            0 => break,
            length => {
                let mut message = vec![0; length];
                input.read_exact(&mut message)?;
                messages.push(message);
            }
        }
    }
    let batches = batches(&messages);
    let mut runner: Runner<Errors> = Runner::new("{}", vec!["events".into()]).map_err(anyhow::Error::msg)?;
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        let before = cpu_ns();
        for batch in &batches {
            std::hint::black_box(runner.process(batch));
        }
        println!("{}", (cpu_ns() - before) as f64 / messages.len() as f64);
        std::io::stdout().flush()?;
        line.clear();
    }
    Ok(())
}

/// Cut as the host cuts calls: at 256 KiB.
fn batches(messages: &[Vec<u8>]) -> Vec<Batch> {
    let mut batches = vec![empty()];
    for message in messages {
        if batches.last().is_some_and(|batch| batch.payloads.len() + message.len() > 256 << 10) {
            batches.push(empty());
        }
        let Some(batch) = batches.last_mut() else { continue };
        batch.payloads.extend_from_slice(message);
        batch.ends.push(batch.payloads.len() as u32);
        batch.offsets.push(1);
        batch.timestamps.push(1_700_000_000_000);
        batch.runs[0].count += 1;
    }
    batches
}

fn empty() -> Batch {
    Batch {
        payloads: Vec::new(),
        ends: Vec::new(),
        runs: vec![Run { topic: 0, partition: 0, count: 0 }],
        nulls: Vec::new(),
        now: 1_700_000_000_000,
        offsets: Vec::new(),
        timestamps: Vec::new(),
        keys: Vec::new(),
        key_ends: Vec::new(),
        header_data: Vec::new(),
        header_ends: Vec::new(),
        header_counts: Vec::new(),
    }
}

/// CPU time of this thread.
fn cpu_ns() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` has a place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
