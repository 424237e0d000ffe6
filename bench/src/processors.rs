//! What a message costs in each processor: as a component, as native code, and in the host's walk over its rows.
//! The messages are the fixtures that become something, again and again; the errors are made up as in `sandbox`.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tidegate::processor::Interruption;
use tidegate_tests::events::{Events, Mix};
use tidegate_tests::processors::{self, Given, Processor};

use crate::cpu::{median, stay_on_this_cpu, timed};
use crate::sides::{self, Native};

const MESSAGES: usize = 2000;
const ROUNDS: usize = 21;
/// What errors are held to. The fixtures of others are no traffic to hold anybody to.
const ERRORS_BAR: f64 = 1.6;

/// CPU nanoseconds per message of one round; `component` is without the walk.
struct Round {
    native: f64,
    component: f64,
    walk: f64,
}

/// A line of the table.
pub struct Cost {
    processor: String,
    /// Of a message, on average.
    bytes: f64,
    native_us: f64,
    component_us: f64,
    /// The host's walk over the rows, which `component_us` is without.
    walk_us: f64,
    /// Component to native, the median of the rounds.
    ratio: f64,
    bar: Option<f64>,
    /// Linear memory of an instance after all rounds.
    memory_kib: usize,
}

pub fn measure() -> Result<Vec<Cost>> {
    stay_on_this_cpu()?;
    processors::all().iter().map(cost).collect()
}

fn cost(processor: &Processor) -> Result<Cost> {
    let messages = messages(processor);
    anyhow::ensure!(!messages.is_empty(), "{}: no fixture to measure with", processor.name);
    let mut native = Native::start(&processor.name, &messages)?;
    let mut component = sides::component(&processor.name, Interruption::Epoch)?;
    let batches = sides::batches(&messages);
    let layouts = component.module().layouts().to_vec();
    let round = |_| {
        let native = native.round()?;
        let (whole, rows) = sides::round(&mut component, &batches)?;
        let walk = timed(|| sides::walk(&layouts, &rows))? / messages.len() as f64;
        Ok(Round { native, component: whole - walk, walk })
    };
    let rounds = (0..ROUNDS).map(round).collect::<Result<Vec<_>>>().with_context(|| processor.name.clone())?;
    let of = |value: fn(&Round) -> f64| median(rounds.iter().map(value).collect());
    Ok(Cost {
        processor: processor.name.clone(),
        bytes: messages.iter().map(Vec::len).sum::<usize>() as f64 / messages.len() as f64,
        native_us: of(|round| round.native / 1000.0),
        component_us: of(|round| round.component / 1000.0),
        walk_us: of(|round| round.walk / 1000.0),
        ratio: of(|round| round.component / round.native),
        bar: (processor.name == "errors").then_some(ERRORS_BAR),
        memory_kib: component.memory_bytes().context("the instance died")? >> 10,
    })
}

fn messages(processor: &Processor) -> Vec<Vec<u8>> {
    if processor.name == "errors" {
        let mix = Mix { bad: 0.0, replacements: 0.0, ..Mix::default() };
        return Events::new(3, mix).take(MESSAGES).filter_map(|event| event.payload).collect();
    }
    let usual = Given::default().params;
    let is_taken = |outcome: &Value| outcome != "rejected" && outcome != "skipped";
    let fixtures = processor.fixtures().into_iter();
    let taken = fixtures.filter(|fixture| is_taken(&fixture.expected["outcome"]) && fixture.given.params == usual);
    let taken: Vec<_> = taken.map(|fixture| fixture.payload).collect();
    taken.iter().cycle().take(MESSAGES).cloned().collect()
}

impl Cost {
    pub fn print(table: &[Cost]) {
        println!(
            "\n{:<18} {:>7} {:>9} {:>9} {:>7}  {:>5} {:>7}",
            "CPU µs per message", "native", "component", "walk", "ratio", "bytes", "KiB"
        );
        for cost in table {
            let Cost { processor, bytes, native_us, component_us, walk_us, ratio, bar, memory_kib } = cost;
            let held_to =
                bar.map_or(String::new(), |bar| format!("≤ {bar} {}", if *ratio > bar { "missed" } else { "met" }));
            println!(
                "{processor:<18} {native_us:>7.2} {component_us:>9.2} {walk_us:>9.2} {ratio:>7.2}  {bytes:>5.0} {memory_kib:>7}  {held_to}"
            );
        }
    }

    pub fn json(&self) -> Value {
        json!({
            "processor": self.processor, "bytes": self.bytes, "native_us": self.native_us,
            "component_us": self.component_us, "walk_us": self.walk_us, "ratio": self.ratio, "bar": self.bar, "memory_kib": self.memory_kib,
        })
    }
}
