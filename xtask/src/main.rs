//! The project's commands. `cargo xtask help` lists them.

mod bench;
mod build;
mod demo;
mod guests;
mod steps;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Build, demonstrate, test and measure tidegate; what is missing is fetched.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the release binary and every module into target/modules
    Build,
    /// Build the example processors in C, JavaScript and Python into target/modules; their tools are fetched
    Guests,
    /// Fetch ClickHouse and Kafka into the cache
    Fetch,
    /// Stream 200,000 error events through everything, and account for each
    Demo(demo::DemoArgs),
    /// Run everything that CI runs
    Test(test::TestArgs),
    /// Measure, as ratios in one run
    Bench(bench::BenchArgs),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Build => build::build(),
        Command::Guests => guests::guests(),
        Command::Fetch => fetch(),
        Command::Demo(args) => demo::demo(&args),
        Command::Test(args) => test::test(&args),
        Command::Bench(args) => bench::bench(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn fetch() -> anyhow::Result<()> {
    println!("{}", tidegate_engines::libchdb()?.display());
    println!("{}", tidegate_engines::kafka_jars()?.display());
    Ok(())
}
