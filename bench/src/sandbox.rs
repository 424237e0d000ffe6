//! The sandbox tax: the errors processor as a component against the same code native, built with the same inlining
//! flags; and the host's own work around it against the least that any consumer does with the bytes.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};
use tidegate::block::BlockBuilder;
use tidegate::message::{MessageBatch, Parts};
use tidegate::offset::{Assignment, Partition};
use tidegate::outcome::OutputRows;
use tidegate::processor::{Engine, InstanceConfig, Interruption, Isolation, Limits, Module};
use tidegate_rows::Layout;
use tidegate_tests::events::{Events, Mix};
use tidegate_tests::servers;

use crate::Measured;

/// Many short rounds: what else the machine does then weighs on all sides of a ratio alike.
const MESSAGES: usize = 1000;
const ROUNDS: usize = 61;

/// CPU nanoseconds per message of one round.
struct Round {
    native: f64,
    /// The whole call, without the host's walk over the rows, which the native side has not.
    uninterrupted: f64,
    epoch: f64,
    walk: f64,
    around: f64,
    least: f64,
}

struct Native {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

pub fn measure() -> Result<Vec<Measured>> {
    stay_on_this_cpu()?;
    let mut table = Vec::new();
    for median_bytes in [512, 2048, 10_240] {
        let mix = Mix { median_bytes, bad: 0.0, replacements: 0.0, ..Mix::default() };
        let messages: Vec<Vec<u8>> = Events::new(3, mix).take(MESSAGES).filter_map(|event| event.payload).collect();
        let mean = messages.iter().map(Vec::len).sum::<usize>() as f64 / messages.len() as f64;
        let size = format!("{:.1} KiB", mean / 1024.0);
        let rounds = rounds(&messages)?;
        // Ratios of one round each: both sides ran within the same tenth of a second.
        let of = |value: fn(&Round) -> f64| median(rounds.iter().map(value).collect());
        let bar = |bar| (median_bytes == 2048).then_some(bar);
        let ratio = |what, value, bar| Measured { what: format!("{what}, {size}"), value, bar, unit: "×" };
        let cost = |what, value: f64| Measured {
            what: format!("  {what}, {size}"),
            value: value / 1000.0,
            bar: None,
            unit: "µs/message",
        };
        table.extend([
            ratio(
                "component / native, without interruption",
                of(|round| round.uninterrupted / round.native),
                bar(1.35),
            ),
            ratio("component / native, epoch interruption", of(|round| round.epoch / round.native), bar(1.6)),
            cost("native", of(|round| round.native)),
            cost("component with epoch", of(|round| round.epoch)),
            cost("the host's walk over the rows", of(|round| round.walk)),
            ratio("host besides the processor / (copy + LZ4)", of(|round| round.around / round.least), bar(2.0)),
        ]);
    }
    Ok(table)
}

fn rounds(messages: &[Vec<u8>]) -> Result<Vec<Round>> {
    let mut native = Native::start(messages)?;
    let mut epoch = isolation(Interruption::Epoch)?;
    let mut uninterrupted = isolation(Interruption::Off)?;
    let layout = epoch.module().layouts()[0].clone();
    let batches = batches(messages);
    let round = |_| {
        let native = native.round()?;
        let (epoch, rows) = round(&mut epoch, &batches)?;
        let (uninterrupted, _) = round(&mut uninterrupted, &batches)?;
        let count = messages.len() as f64;
        let walk = timed(|| walk(&layout, &rows))? / count;
        Ok(Round {
            native,
            uninterrupted: uninterrupted - walk,
            epoch: epoch - walk,
            walk,
            around: walk + timed(|| around(messages, &rows))? / count,
            least: timed(|| least(messages))? / count,
        })
    };
    (0..ROUNDS).map(round).collect()
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

/// CPU nanoseconds per message, and the rows.
fn round(isolation: &mut Isolation, batches: &[MessageBatch]) -> Result<(f64, Vec<OutputRows>)> {
    let mut rows = Vec::new();
    let spent = timed(|| {
        for batch in batches {
            for part in isolation.process(batch)? {
                anyhow::ensure!(part.dead_letters.is_empty(), "a good message was rejected");
                rows.extend(part.rows);
            }
        }
        Ok(())
    })?;
    Ok((spent / batches.iter().map(MessageBatch::len).sum::<usize>() as f64, rows))
}

fn walk(layout: &Layout, rows: &[OutputRows]) -> Result<()> {
    for rows in rows {
        let mut start = 0;
        for end in &rows.ends {
            tidegate_rows::validate(layout, &rows.data[start..*end as usize])?;
            start = *end as usize;
        }
    }
    Ok(())
}

/// What the host does besides the call and the walk: it fills the arena and compresses the rows.
fn around(messages: &[Vec<u8>], rows: &[OutputRows]) -> Result<()> {
    std::hint::black_box(batches(messages));
    let mut block = BlockBuilder::new();
    rows.iter().for_each(|rows| block.append(&rows.data, rows.ends.len() as u64));
    std::hint::black_box(block.finish("t".into()));
    Ok(())
}

/// The least that any consumer does with the bytes: it copies and compresses them.
fn least(messages: &[Vec<u8>]) -> Result<()> {
    let mut block = BlockBuilder::new();
    block.append(&std::hint::black_box(messages.concat()), 1);
    std::hint::black_box(block.finish("t".into()));
    Ok(())
}

/// CPU nanoseconds.
fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let before = cpu_ns();
    work()?;
    Ok((cpu_ns() - before) as f64)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Both sides of a ratio on the same CPU: others are slowed down by what else the machine does, to no measure.
fn stay_on_this_cpu() -> Result<()> {
    // SAFETY: the set is plain data, filled in here.
    let done = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(libc::sched_getcpu() as usize, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set)
    };
    anyhow::ensure!(done == 0, "failed to stay on one CPU: {}", std::io::Error::last_os_error());
    Ok(())
}

/// CPU time of this thread.
fn cpu_ns() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` has a place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
