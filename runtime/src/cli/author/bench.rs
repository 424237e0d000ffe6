//! `tidegate bench`: what messages cost in a module.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::super::Failure;
use super::project::{load, module_file};
use crate::cases::Case;
use crate::message::{MessageBatch, Parts};
use crate::offset::{Assignment, Partition};
use crate::processor::Isolation;

/// Calls the module with the messages, cut as a pipeline cuts them, again and again, on one thread. The time is CPU time,
/// and holds what the host does with the answer: the check of every row.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate bench messages.jsonl --save before.json; …; tidegate bench messages.jsonl \
    --baseline before.json")]
pub struct BenchArgs {
    /// Messages: one a line, or a folder of golden cases
    #[arg(value_name = "FILE")]
    messages: PathBuf,
    /// The component; that of the project in this folder by default, built anew
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
    /// Compare with what --save wrote
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Write the figures
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// How long to measure, seconds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
}

/// The figures; a file of them is a baseline.
#[derive(Debug, Serialize, Deserialize)]
struct Figures {
    module: String,
    digest: String,
    messages: usize,
    rejected: usize,
    bytes_per_message: f64,
    /// The median of the rounds.
    cpu_us_per_message: f64,
    /// One thread's.
    messages_per_second: f64,
    /// Linear memory of the instance, at most.
    memory_bytes: usize,
}

/// A call is cut at this much payload.
const CALL_BYTES: usize = 256 << 10;
/// A round of fewer messages would measure the clock.
const ROUND_MESSAGES: usize = 1000;
const NOW_MS: i64 = 1_700_000_000_000;

pub fn bench(args: &BenchArgs, json: bool) -> Result<(), Failure> {
    let messages = messages(&args.messages)?;
    let baseline = args.baseline.as_deref().map(read_figures).transpose()?;
    let (module, config) = load(&module_file(args.module.as_ref())?)?;
    let name = module.name().clone();
    let mut isolation = Isolation::new(module, config).map_err(|error| Failure::Usage(error.to_string()))?;
    let mut figures = Figures {
        module: name.titled(),
        digest: name.digest.hex(),
        messages: messages.len(),
        rejected: 0,
        bytes_per_message: messages.iter().map(Vec::len).sum::<usize>() as f64 / messages.len() as f64,
        cpu_us_per_message: 0.0,
        messages_per_second: 0.0,
        memory_bytes: 0,
    };
    let rounds = measure(&mut isolation, &messages, Duration::from_secs(args.seconds), &mut figures)?;
    figures.cpu_us_per_message = median(rounds) / 1000.0;
    figures.messages_per_second = 1e6 / figures.cpu_us_per_message;
    if let Some(file) = &args.save {
        let text = serde_json::to_string_pretty(&figures).unwrap_or_default();
        let saved = fs::write(file, text + "\n");
        saved.map_err(|error| Failure::Running(format!("failed to write {}: {error}", file.display())))?;
    }
    figures.print(baseline.as_ref(), json);
    Ok(())
}

/// CPU nanoseconds per message, of each round. The first is for getting warm.
fn measure(
    isolation: &mut Isolation,
    messages: &[Vec<u8>],
    time: Duration,
    figures: &mut Figures,
) -> Result<Vec<f64>, Failure> {
    let repeated = ROUND_MESSAGES.div_ceil(messages.len());
    let batches = batches(messages, repeated);
    let (started, mut rounds) = (Instant::now(), Vec::new());
    let mut is_warm = false;
    while !is_warm || rounds.len() < 3 || started.elapsed() < time {
        let (mut rejected, before) = (0, cpu_ns());
        for batch in &batches {
            let parts = isolation.process_at(batch, NOW_MS).map_err(|error| Failure::Running(error.to_string()))?;
            rejected += parts.iter().map(|part| part.dead_letters.len()).sum::<usize>();
        }
        let spent = (cpu_ns() - before) as f64;
        figures.memory_bytes = figures.memory_bytes.max(isolation.memory_bytes().unwrap_or(0));
        figures.rejected = rejected / repeated;
        if is_warm {
            rounds.push(spent / (messages.len() * repeated) as f64);
        }
        is_warm = true;
    }
    Ok(rounds)
}

fn messages(path: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let messages: Vec<Vec<u8>> = if path.is_dir() {
        let cases = Case::in_folder(path).map_err(|error| Failure::Usage(error.to_string()))?;
        cases.into_iter().filter_map(|case| case.payload).collect()
    } else {
        let content = fs::read(path);
        let content = content.map_err(|error| Failure::Usage(format!("failed to read {}: {error}", path.display())))?;
        content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
    };
    if messages.is_empty() {
        return Err(Failure::Usage(format!("{} has no messages\n\nhint: put one on each line", path.display())));
    }
    Ok(messages)
}

fn batches(messages: &[Vec<u8>], repeated: usize) -> Vec<MessageBatch> {
    let mut batches: Vec<MessageBatch> = Vec::new();
    let all = (0..repeated).flat_map(|_| messages);
    for (offset, payload) in (0..).zip(all) {
        if batches.last().is_none_or(|batch| batch.payloads.len() + payload.len() > CALL_BYTES) {
            let mut batch = MessageBatch::default();
            batch.begin_run(Partition::new("test", 0), Assignment::default(), offset);
            batches.push(batch);
        }
        let Some(batch) = batches.last_mut() else { continue };
        batch.push(Parts { offset, timestamp_ms: NOW_MS, payload: Some(payload), ..Parts::default() });
    }
    batches
}

fn read_figures(file: &Path) -> Result<Figures, Failure> {
    let text = fs::read(file).map_err(|error| Failure::Usage(format!("failed to read {}: {error}", file.display())))?;
    serde_json::from_slice(&text).map_err(|error| {
        Failure::Usage(format!("{} is no baseline: {error}\n\nhint: --save writes one", file.display()))
    })
}

impl Figures {
    fn print(&self, baseline: Option<&Figures>, json: bool) {
        let ratio = |value: fn(&Figures) -> f64| baseline.map(|other| value(self) / value(other));
        let (cpu, memory) = (ratio(|f| f.cpu_us_per_message), ratio(|f| f.memory_bytes as f64));
        if json {
            let mut line = serde_json::to_value(self).unwrap_or_default();
            if let (Some(cpu), Some(memory)) = (cpu, memory) {
                line["ratio"] = serde_json::json!({ "cpu": cpu, "memory": memory });
            }
            println!("{line}");
            return;
        }
        let shown = |ratio: Option<f64>| ratio.map_or(String::new(), |ratio| format!("  {ratio:.2} × baseline"));
        println!("module       {} (sha256 {:.12})", self.module, self.digest);
        println!("messages     {:>10}  of {:.0} bytes", self.messages, self.bytes_per_message);
        println!("CPU          {:>10.2}  µs per message{}", self.cpu_us_per_message, shown(cpu));
        println!("throughput   {:>10.0}  messages/s on one thread", self.messages_per_second);
        println!("memory       {:>10}  KiB at most{}", self.memory_bytes >> 10, shown(memory));
        if self.rejected > 0 {
            println!("\nwarning: {} of {} messages are rejected, which costs less", self.rejected, self.messages);
        }
    }
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
