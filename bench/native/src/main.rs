//! The processors without a sandbox, built with the inlining flags of the guests. Its argument is the name of one. It reads
//! messages from standard input (length, bytes, …, zero), then answers every line with CPU nanoseconds per message of one
//! round.

mod rows;

use std::io::{BufRead, Read, Write};

use eap_items::EapItems;
use errors::Errors;
use functions::Functions;
use generic_metrics::GenericMetrics;
use group_attributes::GroupAttributes;
use llm_proxy_cost::LlmProxyCost;
use metrics::Metrics;
use outcomes::Outcomes;
use profile_chunks::ProfileChunks;
use profiles::Profiles;
use querylog::Querylog;
use replacements::Replacements;
use replays::Replays;
use search_issues::SearchIssues;
use tidegate_processor::contract::{Batch, Run};
use tidegate_processor::{Processor, Runner};
use transactions::Transactions;

/// Measures a processor with these messages.
type Serve = fn(&[Vec<u8>]) -> anyhow::Result<()>;

const PROCESSORS: &[(&str, Serve)] = &[
    ("eap-items", serve::<EapItems>),
    ("errors", serve::<Errors>),
    ("functions", serve::<Functions>),
    ("generic-metrics", serve::<GenericMetrics>),
    ("group-attributes", serve::<GroupAttributes>),
    ("llm-proxy-cost", serve::<LlmProxyCost>),
    ("metrics", serve::<Metrics>),
    ("outcomes", serve::<Outcomes>),
    ("profile-chunks", serve::<ProfileChunks>),
    ("profiles", serve::<Profiles>),
    ("querylog", serve::<Querylog>),
    ("replacements", serve::<Replacements>),
    ("replays", serve::<Replays>),
    ("rows-by-derive", serve::<rows::ByDerive>),
    ("rows-by-hand", serve::<rows::ByHand>),
    ("search-issues", serve::<SearchIssues>),
    ("transactions", serve::<Transactions>),
];

fn main() -> anyhow::Result<()> {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let processor = PROCESSORS.iter().find(|(name, _)| *name == wanted);
    let (_, serve) = processor.ok_or_else(|| anyhow::anyhow!("processor {wanted:?} is not linked in"))?;
    serve(&messages()?)
}

fn messages() -> anyhow::Result<Vec<Vec<u8>>> {
    let mut input = std::io::stdin().lock();
    let mut messages = Vec::new();
    loop {
        let mut length = [0; 4];
        input.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if length == 0 {
            return Ok(messages);
        }
        let mut message = vec![0; length];
        input.read_exact(&mut message)?;
        messages.push(message);
    }
}

/// A round for each line of the input.
fn serve<P: Processor>(messages: &[Vec<u8>]) -> anyhow::Result<()> {
    let batches = batches(messages);
    let mut runner: Runner<P> = Runner::new("{}", vec!["events".into()]).map_err(anyhow::Error::msg)?;
    for line in std::io::stdin().lock().lines() {
        line?;
        let before = cpu_ns();
        for batch in &batches {
            std::hint::black_box(runner.process(batch));
        }
        println!("{}", (cpu_ns() - before) as f64 / messages.len() as f64);
        std::io::stdout().flush()?;
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
    Batch { runs: vec![Run { topic: 0, partition: 0, count: 0 }], ..Batch::empty(1_700_000_000_000) }
}

/// CPU time of this thread.
fn cpu_ns() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` has a place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
