//! `tidegate build`: the component of this project, and what it says of itself.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::super::Failure;
use super::project::{Project, load};
use crate::processor::self_test;

/// Runs cargo, puts the component into FILE, loads it as a pipeline would, and runs its self-test.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// Where the component goes; NAME.wasm in this folder by default
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub fn build(args: &BuildArgs, json: bool) -> Result<(), Failure> {
    let project = Project::here()?;
    let built = project.build()?;
    let (module, config) = load(&built)?;
    let tested = self_test(&module, &config);
    let tested = tested.map_err(|error| Failure::Differs(format!("the module fails its own test: {error}")))?;
    let file = args.out.clone().unwrap_or_else(|| format!("{}.wasm", project.name).into());
    put(&built, &file).map_err(|error| Failure::Running(format!("failed to write {}: {error}", file.display())))?;
    let kib = std::fs::metadata(&file).map_or(0, |metadata| metadata.len()) >> 10;
    let manifest = module.manifest();
    if json {
        let outputs: Vec<_> = manifest.outputs.iter().map(|output| output.name.as_str()).collect();
        let digest = module.name().digest.hex();
        let said = json!({ "module": file, "name": manifest.name, "version": manifest.version, "digest": digest,
            "kib": kib, "outputs": outputs, "self_test": tested });
        println!("{said}");
        return Ok(());
    }
    println!("module     {} ({kib} KiB, sha256 {:.12})", file.display(), module.name().digest.hex());
    println!("processor  {} {}", manifest.name, manifest.version);
    for output in &manifest.outputs {
        println!("output     {}: {} columns", output.name, output.columns.len());
    }
    println!("self-test  {}", if tested == 0 { "none".into() } else { format!("{tested} messages, ok") });
    Ok(())
}

/// Renamed, so that whoever watches the file never sees half of it.
fn put(built: &std::path::Path, file: &std::path::Path) -> std::io::Result<()> {
    let partial = file.with_extension("partial");
    std::fs::copy(built, &partial)?;
    std::fs::rename(partial, file)
}
