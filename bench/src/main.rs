//! What tidegate costs, as ratios measured in one run: CPU time, never a clock on the wall where a machine is shared.

mod cpu;
mod guests;
mod latency;
mod modules;
mod pipeline;
mod processors;
mod rows;
mod sandbox;
mod sides;
mod swap;
mod waiters;

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use processors::Cost;

/// One line of the table.
pub struct Measured {
    pub what: String,
    pub value: f64,
    /// The bar it is held against; none for a plain number.
    pub bar: Option<f64>,
    pub unit: &'static str,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let after = arguments.iter().position(|given| given == "--messages").map(|at| at + 1);
    let messages = after.and_then(|at| arguments.get(at)).map_or(Ok(2_000_000), |text| text.parse())?;
    let only: Vec<&String> = arguments.iter().skip(after.map_or(0, |at| at + 1)).collect();
    let wanted = |name: &str| only.is_empty() || only.iter().any(|given| *given == name);
    let mut table = Vec::new();
    if wanted("sandbox") || wanted("host") {
        table.extend(sandbox::measure()?);
    }
    if wanted("rows") {
        table.extend(rows::measure()?);
    }
    if wanted("latency") {
        table.extend(latency::measure()?);
    }
    if wanted("pipeline") {
        table.extend(pipeline::measure(messages)?);
    }
    if wanted("modules") {
        table.extend(modules::measure()?);
    }
    if wanted("partitions") {
        table.extend(pipeline::partitions(messages / 2)?);
    }
    if wanted("waiters") {
        table.extend(waiters::measure()?);
    }
    if wanted("swap") {
        table.extend(swap::measure(messages)?);
    }
    if !table.is_empty() {
        print(&table);
        let line =
            |line: &Measured| json!({ "what": line.what, "value": line.value, "bar": line.bar, "unit": line.unit });
        write("table.json", table.iter().map(line).collect())?;
    }
    if wanted("processors") {
        let costs = processors::measure()?;
        Cost::print(&costs);
        write("processors.json", costs.iter().map(Cost::json).collect())?;
    }
    if wanted("guests") {
        let costs = guests::measure()?;
        guests::Cost::print(&costs);
        write("guests.json", costs.iter().map(guests::Cost::json).collect())?;
    }
    Ok(())
}

fn print(table: &[Measured]) {
    println!("\n{:<70} {:>10}  {:>6}", "", "measured", "bar");
    for line in table {
        let bar = line.bar.map_or(String::new(), |bar| format!("≤ {bar}"));
        let mark = match line.bar {
            Some(bar) if line.value > bar => "missed",
            Some(_) => "met",
            None => "",
        };
        println!("{:<70} {:>10.2}  {:>6}  {} {mark}", line.what, line.value, bar, line.unit);
    }
}

fn write(file: &str, lines: Vec<Value>) -> Result<()> {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".into());
    let folder = Path::new(&target).join("bench");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(file), format!("{:#}\n", Value::from(lines)))?;
    println!("\nalso in {}", folder.join(file).display());
    Ok(())
}
