//! Many modules in one process: each with its own code and memory, called in turns.

use anyhow::Result;
use tidegate::processor::{Engine, InstanceConfig, Interruption, Isolation, Limits, Module};
use tidegate_tests::events::{Events, Mix};
use tidegate_tests::servers;

use crate::Measured;
use crate::cpu::{median, stay_on_this_cpu};
use crate::sides::{batches, round};

const COUNTS: [usize; 3] = [1, 10, 50];
const ROUNDS: usize = 21;
const RATIO_MAX: f64 = 1.15;

pub fn measure() -> Result<Vec<Measured>> {
    stay_on_this_cpu()?;
    let engine = Engine::new(Interruption::Epoch)?;
    let wasm = std::fs::read(servers::module("errors"))?;
    let loaded = |number| module(&engine, &wasm, number);
    let mut isolations = (0..COUNTS[2]).map(loaded).collect::<Result<Vec<_>>>()?;
    let mix = Mix { median_bytes: 2048, bad: 0.0, replacements: 0.0, ..Mix::default() };
    let messages: Vec<Vec<u8>> = Events::new(3, mix).take(5000).filter_map(|event| event.payload).collect();
    let batches = batches(&messages);
    let mut costs = COUNTS.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (count, costs) in COUNTS.iter().zip(&mut costs) {
            let spent = batches.iter().enumerate().map(|(at, batch)| {
                let cost = round(&mut isolations[at % count], std::slice::from_ref(batch))?.0;
                Ok(cost * batch.len() as f64)
            });
            costs.push(spent.sum::<Result<f64>>()? / messages.len() as f64);
        }
    }
    let [one, ten, fifty] = costs.map(median);
    let ratio = |count, cost: f64| Measured {
        what: format!("{count} modules in a process / 1, 2 KiB, called in turns"),
        value: cost / one,
        bar: Some(RATIO_MAX),
        unit: "×",
    };
    let plain = Measured { what: "  one module".into(), value: one / 1000.0, bar: None, unit: "CPU µs/message" };
    Ok(vec![ratio(10, ten), ratio(50, fifty), plain])
}

/// The same component with another digest: a section of nobody's with the number.
fn module(engine: &Engine, wasm: &[u8], number: usize) -> Result<Isolation> {
    let name = format!("copy {number:04}");
    let mut copy = wasm.to_vec();
    copy.extend([0, name.len() as u8 + 1, name.len() as u8]);
    copy.extend(name.as_bytes());
    let module = Module::compile(engine, &copy, &name, &tidegate::start::cache_folder().join("modules"))?;
    let layouts = module.layouts().to_vec();
    let config =
        InstanceConfig { params: "{}".into(), topics: vec!["events".into()], limits: Limits::default(), layouts };
    Ok(Isolation::new(module, config)?)
}
