//! `tidegate flags show`: what readers must know of a project after replacements (docs/replacements.md).

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{Failure, block_on};
use crate::clickhouse::quoted;
use crate::config::Config;
use crate::start::loader;

#[derive(Debug, Subcommand)]
pub enum FlagsCommand {
    /// Print the flags of a project that readers must heed now
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The configuration, YAML
    config: PathBuf,
    /// The project's id
    #[arg(long)]
    project: u64,
    /// Whose flags; needed where several pipelines have an output `flags`
    #[arg(long)]
    pipeline: Option<String>,
}

/// The output of a module whose rows are flags.
const OUTPUT: &str = "flags";

pub fn execute(command: &FlagsCommand, json: bool) -> Result<(), Failure> {
    let FlagsCommand::Show(args) = command;
    let config = Config::read(&args.config)?;
    let storage = storage(&config, args.pipeline.as_deref())?;
    let loader = loader(config.into());
    let (cluster, table) = loader.table(&storage);
    let sql = format!(
        "SELECT flag, group_id, max(set_at) AS at FROM {} WHERE project_id = {} AND set_at > now() - INTERVAL 12 HOUR \
         GROUP BY flag, group_id ORDER BY flag, at DESC, group_id FORMAT JSONEachRow",
        quoted(table),
        args.project
    );
    let answer = block_on(cluster.query(&sql))?;
    let answer = answer.map_err(|error| Failure::Unreachable(format!("storage {storage:?}: {error}")))?;
    for line in answer.lines() {
        let line = if json { line.to_owned() } else { readable(line)? };
        if writeln!(std::io::stdout(), "{line}").is_err() {
            break;
        }
    }
    Ok(())
}

fn readable(line: &str) -> Result<String, Failure> {
    let flag: Value = serde_json::from_str(line).map_err(|error| Failure::Running(format!("{line}: {error}")))?;
    let text = |name: &str| flag[name].as_str().map_or_else(|| flag[name].to_string(), str::to_owned);
    let group = if text("group_id") == "0" { "-".to_owned() } else { text("group_id") };
    Ok(format!("{:<13}  {group:>20}  {}", text("flag"), text("at")))
}

fn storage(config: &Config, pipeline: Option<&str>) -> Result<String, Failure> {
    let chosen = config.pipelines.value.iter().filter(|(name, _)| pipeline.is_none_or(|wanted| wanted == *name));
    let flags = chosen.filter_map(|(_, pipeline)| pipeline.outputs.value.get(OUTPUT)?.first());
    let mut storages: Vec<_> = flags.map(|storage| storage.value.0.clone()).collect();
    storages.sort();
    storages.dedup();
    match storages.as_slice() {
        [storage] => Ok(storage.clone()),
        [] => Err(Failure::Usage("there is no such pipeline with an output `flags`".into())),
        _ => Err(Failure::Usage(format!("flags in several storages ({}); choose by --pipeline", storages.join(", ")))),
    }
}
