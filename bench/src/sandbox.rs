//! The sandbox tax: the errors processor as a component against the same code native, built with the same inlining
//! flags; and the host's own work around it against the least that any consumer does with the bytes.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};
use tidegate::block::BlockBuilder;
use tidegate::message::{MessageBatch, Parts};
use tidegate::offset::{Assignment, Partition};
use tidegate::processor::{Engine, InstanceConfig, Interruption, Isolation, Limits, Module};
use tidegate_tests::events::{Events, Kind, Mix};
use tidegate_tests::servers;

use crate::Measured;

const MESSAGES: usize = 4000;
const ROUNDS: usize = 9;

struct Native {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

pub fn measure() -> Result<Vec<Measured>> {
    let mut table = Vec::new();
    for (size, label) in [(512, "0.5 KiB"), (2048, "2 KiB"), (10_240, "10 KiB")] {
        let mix = Mix { median_bytes: size, bad: 0.005, replacements: 0.0, ..Mix::default() };
        let events = Events::new(3, mix).filter(|event| event.kind == Kind::Event);
        let messages: Vec<Vec<u8>> = events.take(MESSAGES).filter_map(|event| event.payload).collect();
        let mut native = Native::start(&messages)?;
        let mut checked = isolation(Interruption::Epoch)?;
        let mut unchecked = isolation(Interruption::Off)?;
        let batches = batches(&messages);
        let mut rounds = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            rounds.0.push(native.round()?);
            rounds.1.push(round(&mut checked, &batches)?);
            rounds.2.push(round(&mut unchecked, &batches)?);
            rounds.3.push(around(&mut unchecked, &messages, &batches)?);
        }
        let (native, checked, unchecked) = (median(rounds.0), median(rounds.1), median(rounds.2));
        // Validating the rows is the host's work, and is in both; it is taken out of neither.
        let (low, high) = if size == 2048 { (Some(1.35), Some(1.6)) } else { (None, None) };
        let line = |what: String, value, bar| Measured { what, value, bar, unit: "×" };
        table.push(line(
            format!("component / native, {label}, without interruption, rows checked"),
            unchecked / native,
            low,
        ));
        table.push(line(
            format!("component / native, {label}, epoch interruption, rows checked"),
            checked / native,
            high,
        ));
        let number = |what: String, value| Measured { what, value, bar: None, unit: "µs/message" };
        table.push(number(format!("  native, {label}"), native / 1000.0));
        table.push(number(format!("  component with epoch, {label}"), checked / 1000.0));
        if size == 2048 {
            table.push(line(
                "host besides the processor / (copy + LZ4 of the same bytes), 2 KiB".into(),
                median(rounds.3),
                Some(2.0),
            ));
        }
    }
    Ok(table)
}

impl Native {
    fn start(messages: &[Vec<u8>]) -> Result<Self> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
        let program = target.join("x86_64-unknown-linux-gnu/module/tidegate-bench-native");
        let mut child = Command::new(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} is not built; run `cargo xtask bench`", program.display()))?;
        let mut input = child.stdin.take().context("no input")?;
        for message in messages {
            input.write_all(&(message.len() as u32).to_le_bytes())?;
            input.write_all(message)?;
        }
        input.write_all(&[0; 4])?;
        let output = BufReader::new(child.stdout.take().context("no output")?);
        Ok(Self { input, output })
    }

    fn round(&mut self) -> Result<f64> {
        self.input.write_all(b"go\n")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }
}

fn isolation(interruption: Interruption) -> Result<Isolation> {
    let engine = Engine::new(interruption)?;
    let module = Module::load(&engine, &servers::module("errors"), &tidegate::start::cache_folder().join("modules"))?;
    let config = InstanceConfig {
        params: "{}".into(),
        topics: vec!["events".into()],
        limits: Limits::default(),
        layouts: module.layouts().to_vec(),
    };
    Ok(Isolation::new(module, config)?)
}

fn batches(messages: &[Vec<u8>]) -> Vec<MessageBatch> {
    let mut batches = Vec::new();
    let mut batch = MessageBatch::default();
    for (offset, message) in messages.iter().enumerate() {
        if batch.is_empty() || batch.payloads.len() + message.len() > 256 << 10 {
            batches.push(std::mem::take(&mut batch));
            batch.begin_run(Partition::new("events", 0), Assignment(1), offset as i64);
        }
        batch.push(Parts {
            offset: offset as i64,
            timestamp_ms: 1_700_000_000_000,
            payload: Some(message),
            ..Parts::default()
        });
    }
    batches.push(batch);
    batches.retain(|batch| !batch.is_empty());
    batches
}

/// CPU nanoseconds per message.
fn round(isolation: &mut Isolation, batches: &[MessageBatch]) -> Result<f64> {
    let before = cpu_ns();
    let mut count = 0;
    for batch in batches {
        let parts = isolation.process(batch)?;
        anyhow::ensure!(parts.iter().all(|part| part.dead_letters.is_empty()), "a good message was rejected");
        count += batch.len();
    }
    Ok((cpu_ns() - before) as f64 / count as f64)
}

/// What the host does besides the guest's own time: filling the arena, walking the rows, compressing them; against
/// copying the messages and compressing them once.
fn around(isolation: &mut Isolation, messages: &[Vec<u8>], batches: &[MessageBatch]) -> Result<f64> {
    let rows: Vec<_> = batches.iter().map(|batch| isolation.process(batch)).collect::<Result<_, _>>()?;
    let layout = isolation.module().layouts()[0].clone();
    let before = cpu_ns();
    std::hint::black_box(self::batches(messages));
    let mut block = BlockBuilder::new();
    for rows in rows.iter().flatten().flat_map(|part| &part.rows) {
        let mut start = 0;
        for end in &rows.ends {
            tidegate_rows::validate(&layout, &rows.data[start..*end as usize])?;
            start = *end as usize;
        }
        block.append(&rows.data, rows.ends.len() as u64);
    }
    std::hint::black_box(block.finish("t".into()));
    let host = cpu_ns() - before;
    let before = cpu_ns();
    let mut least = BlockBuilder::new();
    let mut arena = Vec::new();
    for message in messages {
        arena.extend_from_slice(message);
    }
    least.append(&arena, 1);
    std::hint::black_box(least.finish("t".into()));
    Ok(host as f64 / (cpu_ns() - before) as f64)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// CPU time of this thread.
fn cpu_ns() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` has a place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
