//! `tidegate offsets …`: the positions of pipelines, and moving them so that followers are told.

mod plan;
mod reset;
mod show;
mod target;

use clap::Subcommand;

use super::Failure;

#[derive(Debug, Subcommand)]
pub enum OffsetsCommand {
    /// Print where every pipeline is, by Kafka and by its commit log
    Show(show::ShowArgs),
    /// Show what moving a pipeline would do; with --execute, move it
    Reset(reset::ResetArgs),
}

pub fn execute(command: &OffsetsCommand, json: bool) -> Result<(), Failure> {
    match command {
        OffsetsCommand::Show(args) => show::show(args, json),
        OffsetsCommand::Reset(args) => reset::reset(args, json),
    }
}
