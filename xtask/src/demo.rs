//! `cargo xtask demo`: the main job on a fresh machine.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::build;
use crate::steps::{run, target};

#[derive(Args)]
pub struct DemoArgs {
    /// Events to stream
    #[arg(long, default_value_t = 200_000)]
    messages: u64,
    /// Leave everything running at the end, until Ctrl-C
    #[arg(long)]
    stay: bool,
}

pub fn demo(args: &DemoArgs) -> Result<()> {
    build::build()?;
    tidegate_engines::libchdb()?;
    let mut command = Command::new(target().join("release/demo"));
    command.args(["--messages", &args.messages.to_string()]);
    if args.stay {
        command.arg("--stay");
    }
    run(command)
}
