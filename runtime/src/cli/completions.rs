//! `tidegate completions SHELL`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Failure;

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    shell: Shell,
}

pub fn completions<C: CommandFactory>(args: &CompletionsArgs) -> Result<(), Failure> {
    clap_complete::generate(args.shell, &mut C::command(), "tidegate", &mut std::io::stdout());
    Ok(())
}
