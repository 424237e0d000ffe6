//! Modules that take turns under load: how long nothing comes out at a swap, and what a thousand swaps leave in memory.

use anyhow::Result;
use tidegate_tests::pipeline::Bed;
use tidegate_tests::{swaps, variant};

use crate::Measured;

const SWAPS: usize = 100;
const SWAPS_FOR_MEMORY: usize = 1000;

pub fn measure(messages: u64) -> Result<Vec<Measured>> {
    let mut bed = Bed::of_variants("swapped", 8)?;
    bed.batch = "{ rows: 50000, bytes: 64MiB, time: 1s }".into();
    bed.workers = 2;
    let (seen, process) = swaps::run(&bed, messages, SWAPS)?;
    let files = [variant::write(&bed.folder, 1, "good"), variant::write(&bed.folder, 2, "good")];
    let before = process.usage().resident_bytes();
    for swap in 1..=SWAPS_FOR_MEMORY {
        swaps::load(&bed, &process, &files[swap % 2])?;
    }
    let grown = process.usage().resident_bytes() as f64 - before as f64;
    process.terminate()?;
    let plain = |what: &str, value, unit| Measured { what: what.into(), value, bar: None, unit };
    Ok(vec![
        Measured {
            what: format!("gap at a swap, {SWAPS} swaps, {} messages, 8 partitions: max", seen.messages),
            value: seen.gap_ms(1.0),
            bar: Some(20.0 + seen.usual_gap_ms),
            unit: "ms",
        },
        plain("  p50", seen.gap_ms(0.5), "ms"),
        plain("  p99", seen.gap_ms(0.99), "ms"),
        plain("  between any two calls: p99, end of its bucket", seen.usual_gap_ms, "ms"),
        plain("resident memory after 1,000 further swaps, more than before", grown / f64::from(1 << 20), "MiB"),
    ])
}
