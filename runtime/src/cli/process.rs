//! `tidegate process`: a module, some messages, what comes of them. Offline; its lines are a contract for other tools.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value};

use super::Failure;
use super::compiler::engine;
use crate::cases::Seen;
use crate::clock::now_ms;
use crate::message::{MessageBatch, Parts};
use crate::offset::{Assignment, Partition};
use crate::outcome::Processed;
use crate::processor::{InstanceConfig, Isolation, Limits, Module};
use crate::start::cache_folder;

/// Prints one JSON line for each message:
/// {"message", "outcome": "rows|skipped|replacement|rewrite|rejected", "rows": [{"output", "row"}], "replacement",
/// "rewrites": [{"output", "columns": [{"column", "expression"}], "predicate"}], "rejection"}.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate process --module target/modules/errors.wasm --topic events event.json")]
pub struct ProcessArgs {
    /// The component
    #[arg(long)]
    module: PathBuf,
    /// The processor's own settings, JSON
    #[arg(long, default_value = "{}")]
    params: String,
    /// Topic that the messages seem to come from
    #[arg(long, default_value = "topic")]
    topic: String,
    /// Partition that the messages seem to come from
    #[arg(long, default_value_t = 0)]
    partition: i32,
    /// Offset of the first message; the others follow
    #[arg(long, default_value_t = 0)]
    offset: i64,
    /// Broker timestamp of the messages, milliseconds since 1970; now by default
    #[arg(long, value_name = "MS")]
    timestamp: Option<i64>,
    /// One message per line instead of one per file
    #[arg(long)]
    lines: bool,
    /// Files with messages; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub fn process(args: &ProcessArgs) -> Result<(), Failure> {
    let engine = engine()?;
    let usage = |error: crate::processor::LoadError| Failure::Usage(error.to_string());
    let module = Module::load(&engine, &args.module, &cache_folder().join("modules")).map_err(usage)?;
    let config = InstanceConfig {
        params: args.params.clone(),
        topics: vec![args.topic.clone()],
        limits: Limits::default(),
        layouts: module.layouts().to_vec(),
    };
    let mut isolation = Isolation::new(module, config).map_err(usage)?;
    let timestamp_ms = args.timestamp.unwrap_or_else(now_ms);
    let partition = Partition::new(args.topic.as_str(), args.partition);
    let mut offset = args.offset;
    for file in &args.files {
        let content = read(file)?;
        let messages: Vec<(String, &[u8])> = if args.lines {
            let lines = content.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
            lines.map(|(number, line)| (format!("{}:{}", file.display(), number + 1), line)).collect()
        } else {
            vec![(file.display().to_string(), &content)]
        };
        for (name, payload) in messages {
            let mut batch = MessageBatch::default();
            batch.begin_run(partition.clone(), Assignment::default(), offset);
            batch.push(Parts { offset, timestamp_ms, payload: Some(payload), ..Parts::default() });
            offset += 1;
            for processed in isolation.process(&batch).map_err(usage)? {
                print(&line(&name, &processed, isolation.module())?)?;
            }
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut content = Vec::new();
    let done = if file == Path::new("-") {
        std::io::stdin().read_to_end(&mut content).map(drop)
    } else {
        std::fs::read(file).map(|bytes| content = bytes)
    };
    done.map_err(|error| Failure::Usage(format!("failed to read {}: {error}", file.display())))?;
    Ok(content)
}

/// Whoever reads us may have seen enough.
fn print(line: &Map<String, Value>) -> Result<(), Failure> {
    let text = Value::Object(line.clone()).to_string();
    writeln!(std::io::stdout(), "{text}").map_err(|error| Failure::Running(format!("failed to print: {error}")))
}

fn line(name: &str, processed: &Processed, module: &Module) -> Result<Map<String, Value>, Failure> {
    let seen = Seen::of(processed, module);
    let seen = seen.map_err(|(output, error)| Failure::Running(format!("output {output:?}: {error}")))?;
    let mut line = Map::new();
    line.insert("message".into(), name.into());
    line.extend(seen.json());
    Ok(line)
}
