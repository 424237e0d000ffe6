//! `cargo xtask bench`: costs, as ratios measured in one run.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::steps::{cargo, run, target};
use crate::{build, guests};

#[derive(Args)]
pub struct BenchArgs {
    /// Messages of the run through the whole pipeline
    #[arg(long, default_value_t = 2_000_000)]
    messages: u64,
    /// Measure only these: sandbox, host, rows, processors, guests, modules, pipeline,
    /// partitions, latency, waiters, swap
    only: Vec<String>,
}

pub fn bench(args: &BenchArgs) -> Result<()> {
    build::build()?;
    tidegate_engines::libchdb()?;
    if args.only.is_empty() || args.only.iter().any(|only| only == "guests") {
        guests::guests()?;
    }
    // The native side is built with the flags of the guests, so that the ratio is the sandbox alone.
    let mut native =
        cargo(&["build", "--profile", "module", "-p", "tidegate-bench-native", "--target", "x86_64-unknown-linux-gnu"]);
    native.env("RUSTFLAGS", "-C llvm-args=-inline-threshold=1000");
    run(native)?;
    let mut command = Command::new(target().join("release/tidegate-bench"));
    command.args(["--messages", &args.messages.to_string()]).args(&args.only);
    run(command)
}
