//! The sandbox tax: the errors processor as a component against the same code native, built with the same inlining
//! flags; and the host's own work around it against the least that any consumer does with the bytes.

use anyhow::Result;
use tidegate::block::BlockBuilder;
use tidegate::outcome::OutputRows;
use tidegate::processor::Interruption;
use tidegate_tests::events::{Events, Mix};

use crate::Measured;
use crate::cpu::{median, stay_on_this_cpu, timed};
use crate::sides::{Native, batches, component, round, walk};

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
    let mut native = Native::start("errors", messages)?;
    let mut epoch = component("errors", Interruption::Epoch)?;
    let mut uninterrupted = component("errors", Interruption::Off)?;
    let layouts = epoch.module().layouts().to_vec();
    let batches = batches(messages);
    let round = |_| {
        let native = native.round()?;
        let (epoch, rows) = round(&mut epoch, &batches)?;
        let (uninterrupted, _) = round(&mut uninterrupted, &batches)?;
        let count = messages.len() as f64;
        let walk = timed(|| walk(&layouts, &rows))? / count;
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

/// What the host does besides the call and the walk: it fills the arena and compresses the rows.
fn around(messages: &[Vec<u8>], rows: &[OutputRows]) -> Result<()> {
    std::hint::black_box(batches(messages));
    let mut block = BlockBuilder::new();
    rows.iter().for_each(|rows| block.append(&rows.data, rows.ends.len() as u64));
    std::hint::black_box(block.finish("t".into(), [].into()));
    Ok(())
}

/// The least that any consumer does with the bytes: it copies and compresses them.
fn least(messages: &[Vec<u8>]) -> Result<()> {
    let mut block = BlockBuilder::new();
    block.append(&std::hint::black_box(messages.concat()), 1);
    std::hint::black_box(block.finish("t".into(), [].into()));
    Ok(())
}
