//! The two sides of a comparison: a processor as a component in its sandbox, and the same code native, in a program of
//! its own. Both are given the same messages, cut alike, and the same clock.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};
use tidegate::message::{MessageBatch, Parts};
use tidegate::offset::{Assignment, Partition};
use tidegate::outcome::OutputRows;
use tidegate::processor::{Engine, InstanceConfig, Interruption, Isolation, Limits, Module};
use tidegate_rows::Layout;
use tidegate_tests::servers;

use crate::cpu::timed;

/// A processor as native code; its messages are with it.
pub struct Native {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// Milliseconds since 1970. No fixture is so old then that it would be skipped.
const NOW_MS: i64 = 1_700_000_000_000;

impl Native {
    pub fn start(processor: &str, messages: &[Vec<u8>]) -> Result<Self> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
        let program = target.join("x86_64-unknown-linux-gnu/module/tidegate-bench-native");
        let mut child = Command::new(&program)
            .arg(processor)
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

    /// CPU nanoseconds per message.
    pub fn round(&mut self) -> Result<f64> {
        self.input.write_all(b"go\n")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }
}

/// A processor in its sandbox, with its settings as they are by default.
pub fn component(processor: &str, interruption: Interruption) -> Result<Isolation> {
    let engine = Engine::new(interruption)?;
    let module = Module::load(&engine, &servers::module(processor), &tidegate::start::cache_folder().join("modules"))?;
    let config = InstanceConfig {
        params: "{}".into(),
        topics: vec!["events".into()],
        limits: Limits::default(),
        layouts: module.layouts().to_vec(),
    };
    Ok(Isolation::new(module, config)?)
}

/// Messages as the source cuts them: at 256 KiB.
pub fn batches(messages: &[Vec<u8>]) -> Vec<MessageBatch> {
    let mut batches = Vec::new();
    let mut batch = MessageBatch::default();
    for (offset, message) in messages.iter().enumerate() {
        if batch.is_empty() || batch.payloads.len() + message.len() > 256 << 10 {
            batches.push(std::mem::take(&mut batch));
            batch.begin_run(Partition::new("events", 0), Assignment(1), offset as i64);
        }
        batch.push(Parts { offset: offset as i64, timestamp_ms: NOW_MS, payload: Some(message), ..Parts::default() });
    }
    batches.push(batch);
    batches.retain(|batch| !batch.is_empty());
    batches
}

/// CPU nanoseconds per message, with the host's walk over the rows; and the rows.
pub fn round(component: &mut Isolation, batches: &[MessageBatch]) -> Result<(f64, Vec<OutputRows>)> {
    let mut rows = Vec::new();
    let spent = timed(|| {
        for batch in batches {
            for part in component.process_at(batch, NOW_MS)? {
                anyhow::ensure!(part.dead_letters.is_empty(), "a good message was rejected");
                rows.extend(part.rows);
            }
        }
        Ok(())
    })?;
    Ok((spent / batches.iter().map(MessageBatch::len).sum::<usize>() as f64, rows))
}

/// The host's walk over the rows, which the native side has not.
pub fn walk(layouts: &[Layout], rows: &[OutputRows]) -> Result<()> {
    for rows in rows {
        let mut start = 0;
        for end in &rows.ends {
            tidegate_rows::validate(&layouts[rows.output], &rows.data[start..*end as usize])?;
            start = *end as usize;
        }
    }
    Ok(())
}
