//! What `#[derive(Row)]` costs over the row writer: the same rows of the same messages, natively, in turns.

use anyhow::Result;

use crate::Measured;
use crate::cpu::{median, stay_on_this_cpu};
use crate::sides::Native;

const MESSAGES: usize = 20_000;
const ROUNDS: usize = 101;
const RATIO_MAX: f64 = 1.03;

pub fn measure() -> Result<Vec<Measured>> {
    stay_on_this_cpu()?;
    let messages: Vec<Vec<u8>> =
        (0..MESSAGES).map(|number| vec![b'a' + (number % 26) as u8; 60 + number % 90]).collect();
    let mut derived = Native::start("rows-by-derive", &messages)?;
    let mut by_hand = Native::start("rows-by-hand", &messages)?;
    let (mut ratios, mut costs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Each goes first as often as the other.
        let (derived, by_hand) = if round % 2 == 0 {
            let derived = derived.round()?;
            (derived, by_hand.round()?)
        } else {
            let by_hand = by_hand.round()?;
            (derived.round()?, by_hand)
        };
        ratios.push(derived / by_hand);
        costs.push(derived / 1000.0);
    }
    Ok(vec![
        Measured {
            what: "a row by derive / by the row writer, native".into(),
            value: median(ratios),
            bar: Some(RATIO_MAX),
            unit: "×",
        },
        Measured { what: "  a row of 13 columns by derive".into(), value: median(costs), bar: None, unit: "CPU µs" },
    ])
}
