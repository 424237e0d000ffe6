//! Modules that take turns under load: how long nothing comes out at a swap, and what a thousand swaps leave in memory.

use anyhow::Result;
use tidegate_tests::pipeline::Bed;
use tidegate_tests::{swaps, variant};

use crate::Measured;

const SWAPS: usize = 100;
const SWAPS_FOR_MEMORY: usize = 1000;

/// A swap comes at any moment, and finds a pause there as often as every moment does: so it is held against the pauses of a
/// run of its own without swaps, by how often a moment falls into them.
pub fn measure(messages: u64) -> Result<Vec<Measured>> {
    let (undisturbed, process) = swaps::run(&bed("undisturbed")?, messages, 0)?;
    process.terminate()?;
    let bed = bed("swapped")?;
    let (seen, process) = swaps::run(&bed, messages, SWAPS)?;
    let files = [variant::write(&bed.folder, 1, "good"), variant::write(&bed.folder, 2, "good")];
    let before = process.usage().resident_bytes();
    for swap in 1..=SWAPS_FOR_MEMORY {
        swaps::load(&bed, &process, &files[swap % 2])?;
    }
    let grown = process.usage().resident_bytes() as f64 - before as f64;
    process.terminate()?;
    let plain = |what: &str, value, unit| Measured { what: what.into(), value, bar: None, unit };
    let moments = undisturbed.usual.of_moments(0.99);
    Ok(vec![
        Measured {
            what: format!("gap at a swap, {SWAPS} swaps, {} messages, 8 partitions: max", seen.messages),
            value: seen.gap_ms(1.0),
            bar: Some(20.0 + moments),
            unit: "ms",
        },
        plain("  p50", seen.gap_ms(0.5), "ms"),
        plain("  p90", seen.gap_ms(0.9), "ms"),
        plain("  p99", seen.gap_ms(0.99), "ms"),
        plain("  without swaps: gap of 50 moments in 100, end of its bucket", undisturbed.usual.of_moments(0.5), "ms"),
        plain("  without swaps: gap of 90 moments in 100, end of its bucket", undisturbed.usual.of_moments(0.9), "ms"),
        plain("  without swaps: gap of 99 moments in 100, end of its bucket", moments, "ms"),
        plain("  without swaps: longest, end of its bucket", undisturbed.usual.of_calls(1.0), "ms"),
        plain("  without swaps: p99 of the calls, end of its bucket", undisturbed.usual.of_calls(0.99), "ms"),
        plain("resident memory after 1,000 further swaps, more than before", grown / f64::from(1 << 20), "MiB"),
    ])
}

fn bed(name: &str) -> Result<Bed> {
    let mut bed = Bed::of_variants(name, 8)?;
    bed.batch = "{ rows: 50000, bytes: 64MiB, time: 1s }".into();
    bed.workers = 2;
    Ok(bed)
}
