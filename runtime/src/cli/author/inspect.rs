//! `tidegate inspect`: what a module is, asks for, and needs. For modules of others, too.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::super::Failure;
use super::super::compiler::engine;
use crate::processor::{Inspection, Limits, Module};
use crate::start::cache_folder;

/// A module that speaks another contract, or none, is shown as far as can be seen from outside.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 the module can be used, 2 it cannot; what is known of it is printed anyway.")]
pub struct InspectArgs {
    /// The module
    module: PathBuf,
}

pub fn inspect(args: &InspectArgs, json: bool) -> Result<(), Failure> {
    let engine = engine()?;
    let inspection = Inspection::of(&engine, &args.module, &cache_folder().join("modules"));
    let inspection = inspection.map_err(|error| Failure::Usage(error.to_string()))?;
    if json {
        println!("{}", as_json(&inspection));
    } else {
        print(&inspection);
    }
    match &inspection.module {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::Usage(error.to_string())),
    }
}

fn print(inspection: &Inspection) {
    let line = |what: &str, text: &str| println!("{what:<12}{text}");
    line("digest", &inspection.digest.to_string());
    line("size", &format!("{} KiB", inspection.size_bytes.div_ceil(1024)));
    line("kind", if inspection.is_component { "component" } else { "core module, not a component" });
    let contract = inspection.contract.as_deref().map(|version| format!("tidegate:processor@{version}"));
    line("contract", contract.as_deref().unwrap_or("none of ours"));
    let mut what = "imports";
    for import in &inspection.imports {
        let from = if import.is_provided { "provided" } else { "a trap when called" };
        line(what, &format!("{:<44}  {from}", import.name));
        what = "";
    }
    for memory in &inspection.memories {
        let max = memory.bytes_max.map_or("no maximum".into(), |max| format!("at most {} KiB", max >> 10));
        line("memory", &format!("{} KiB at start, {max}", memory.bytes_min >> 10));
    }
    let Limits { memory_bytes_max, base, per_message } = Limits::default();
    let limits = format!("{} MiB of memory, {base:?} + {per_message:?} per message", memory_bytes_max >> 20);
    line("limits", &format!("{limits}; by default"));
    if let Ok(module) = &inspection.module {
        let cached = if inspection.was_cached { "from the cache" } else { "compiled, and cached now" };
        line("load", &format!("{} ms, {cached}", inspection.load_time.as_millis()));
        print_manifest(module);
    }
}

fn print_manifest(module: &Module) {
    let manifest = module.manifest();
    println!("\n{:<12}{} {}", "processor", manifest.name, manifest.version);
    println!(
        "{:<12}{}",
        "wants",
        Some(wants(module).join(", ")).filter(|text| !text.is_empty()).unwrap_or("nothing more".into())
    );
    println!(
        "{:<12}{} messages",
        "self-test",
        manifest.self_test.lines().filter(|line| !line.trim().is_empty()).count()
    );
    for output in &manifest.outputs {
        println!("\noutput {}", output.name);
        let width = output.columns.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, kind) in &output.columns {
            println!("  {name:<width$}  {kind}");
        }
    }
}

fn wants(module: &Module) -> Vec<&'static str> {
    let wants = module.manifest().wants;
    let all = [
        ("keys", wants.keys),
        ("headers", wants.headers),
        ("offsets", wants.offsets),
        ("timestamps", wants.timestamps),
    ];
    all.into_iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name).collect()
}

fn as_json(inspection: &Inspection) -> Value {
    let import = |import: &crate::processor::Import| json!({ "name": import.name, "provided": import.is_provided });
    let memory =
        |memory: &crate::processor::Memory| json!({ "bytes_min": memory.bytes_min, "bytes_max": memory.bytes_max });
    let limits = Limits::default();
    let mut said = json!({
        "digest": inspection.digest.hex(),
        "size_bytes": inspection.size_bytes,
        "component": inspection.is_component,
        "contract": inspection.contract,
        "imports": inspection.imports.iter().map(import).collect::<Vec<_>>(),
        "memories": inspection.memories.iter().map(memory).collect::<Vec<_>>(),
        "limits": {
            "memory_bytes_max": limits.memory_bytes_max,
            "base_ms": limits.base.as_millis() as u64,
            "per_message_ms": limits.per_message.as_millis() as u64,
        },
    });
    match &inspection.module {
        Ok(module) => {
            let manifest = module.manifest();
            let column = |(name, kind): &(String, String)| json!({ "name": name, "type": kind });
            let output = |output: &crate::processor::Output| {
                let columns: Vec<_> = output.columns.iter().map(column).collect();
                json!({ "name": output.name, "columns": columns })
            };
            said["load"] = json!({ "ms": inspection.load_time.as_millis() as u64, "cached": inspection.was_cached });
            said["manifest"] = json!({
                "name": manifest.name,
                "version": manifest.version,
                "wants": wants(module),
                "outputs": manifest.outputs.iter().map(output).collect::<Vec<_>>(),
                "self_test": manifest.self_test,
            });
        }
        Err(error) => said["error"] = error.to_string().into(),
    }
    said
}
