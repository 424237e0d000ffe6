//! What a message costs in other languages: the example processor, which takes the same messages to the same rows in
//! each of them. The host's part is in it, with the reading of rows that come as JSON.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tidegate::processor::Interruption;
use tidegate_tests::guests;
use tidegate_tests::processors::Processor;

use crate::cpu::{median, stay_on_this_cpu};
use crate::sides;

const MESSAGES: usize = 2000;
const ROUNDS: usize = 11;

/// A line of the table.
pub struct Cost {
    guest: String,
    /// Of a message.
    bytes: usize,
    message_us: f64,
    /// Linear memory of an instance after all rounds.
    memory_kib: usize,
}

pub fn measure() -> Result<Vec<Cost>> {
    stay_on_this_cpu()?;
    guests::all().iter().map(cost).collect()
}

fn cost(guest: &Processor) -> Result<Cost> {
    let view =
        guest.fixtures().into_iter().find(|fixture| fixture.name == "view").context("no fixture to measure with")?;
    let messages = vec![view.payload; MESSAGES];
    let batches = sides::batches(&messages);
    let mut isolation = sides::component(&guest.name, Interruption::Epoch)?;
    let rounds = (0..ROUNDS).map(|_| Ok(sides::round(&mut isolation, &batches)?.0)).collect::<Result<Vec<_>>>();
    Ok(Cost {
        guest: guest.name.clone(),
        bytes: messages[0].len(),
        message_us: median(rounds.with_context(|| guest.name.clone())?) / 1000.0,
        memory_kib: isolation.memory_bytes().context("the instance died")? >> 10,
    })
}

impl Cost {
    pub fn print(table: &[Cost]) {
        println!("\n{:<24} {:>8} {:>6} {:>7}", "CPU µs per message", "", "bytes", "KiB");
        for Cost { guest, bytes, message_us, memory_kib } in table {
            println!("{guest:<24} {message_us:>8.2} {bytes:>6} {memory_kib:>7}");
        }
    }

    pub fn json(&self) -> Value {
        json!({
            "guest": self.guest, "bytes": self.bytes, "message_us": self.message_us, "memory_kib": self.memory_kib,
        })
    }
}
