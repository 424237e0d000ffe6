//! Commands for the authors of processors: a project, its build, its tests, its costs, and what a module is.

mod bench;
mod build;
mod inspect;
mod new;
mod project;
mod sources;
mod table;
mod test;

use clap::Subcommand;

use super::Failure;

#[derive(Debug, Subcommand)]
pub enum AuthorCommand {
    /// Make a processor: a Cargo project with a table, golden cases and a pipeline
    New(new::NewArgs),
    /// Build the processor of this folder
    Build(build::BuildArgs),
    /// Run golden cases: messages and what must come of them
    Test(test::TestArgs),
    /// Measure what messages cost in a module
    Bench(bench::BenchArgs),
    /// Show what a module is, asks for, and needs
    Inspect(inspect::InspectArgs),
}

pub fn execute(command: &AuthorCommand, json: bool) -> Result<(), Failure> {
    match command {
        AuthorCommand::New(args) => new::new(args, json),
        AuthorCommand::Build(args) => build::build(args, json),
        AuthorCommand::Test(args) => test::test(args, json),
        AuthorCommand::Bench(args) => bench::bench(args, json),
        AuthorCommand::Inspect(args) => inspect::inspect(args, json),
    }
}
