//! The compiler of modules in a process of its own, and the engine of commands that look at one module, which starts it.

use std::time::Duration;

use clap::Args;

use super::Failure;
use crate::processor::{CompileLimits, Engine, Interruption, serve_compiler};

#[derive(Debug, Args)]
pub struct CompilerArgs {
    memory_bytes_max: u64,
    time_ms_max: u64,
    #[arg(long)]
    interruption_off: bool,
}

/// The hidden command that an engine which compiles apart starts.
pub fn compiler(args: &CompilerArgs) -> Result<(), Failure> {
    let interruption = if args.interruption_off { Interruption::Off } else { Interruption::Epoch };
    let time_max = Duration::from_millis(args.time_ms_max);
    let limits = CompileLimits { memory_bytes_max: args.memory_bytes_max, time_max };
    // The code is an answer, like standard output.
    std::process::exit(serve_compiler(interruption, limits).map_err(Failure::Running)?.into())
}

/// As a pipeline's where the configuration says nothing.
pub fn engine() -> Result<Engine, Failure> {
    let engine = Engine::new(Interruption::Epoch).map_err(|error| Failure::Running(error.to_string()))?;
    Ok(engine.compiling_apart(CompileLimits::default()))
}
