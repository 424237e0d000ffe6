//! `tidegate module …`: asks a running process, over its admin port, what it runs, and to run something else.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tidegate_rows::calendar;

use super::aligned::{aligned, print};
use super::{Failure, block_on};
use crate::config::Config;
use crate::control::short;
use crate::module_source::use_ring;
use crate::secret::Secret;

#[derive(Debug, Args)]
pub struct ModuleArgs {
    /// The configuration of the process: says where its admin port is, and the token
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Its admin port
    #[arg(long, global = true, value_name = "URL", conflicts_with = "config", default_value = "http://127.0.0.1:8650")]
    admin: String,
    /// Token of the admin port
    #[arg(long, global = true, env = "TIDEGATE_TOKEN", hide_env_values = true, conflicts_with = "config")]
    token: Option<String>,
    #[command(subcommand)]
    command: ModuleCommand,
}

#[derive(Debug, Subcommand)]
enum ModuleCommand {
    /// What every pipeline runs, in every process of its fleet
    List,
    /// Run another module from the next batch on; what fails leaves the one that runs
    Load {
        pipeline: String,
        /// A path, or a source as the configuration has it: file:, dir:, http(s):, oci:
        source: String,
        /// SHA-256 that the component must have, hexadecimal
        #[arg(long)]
        digest: Option<String>,
    },
    /// Go back to the module before, or to one that ran earlier
    Rollback {
        pipeline: String,
        /// Of one that ran, or its beginning
        #[arg(long)]
        digest: Option<String>,
    },
    /// Refuse other modules until it is unpinned
    Pin { pipeline: String },
    /// Take other modules again
    Unpin { pipeline: String },
    /// Go on with a pipeline that was paused because its module did too much harm
    Resume { pipeline: String },
    /// The changes of a pipeline's module, and what became of them
    History { pipeline: String },
}

pub fn execute(args: &ModuleArgs, json: bool) -> Result<(), Failure> {
    let port = Port::of(args)?;
    let answer = match &args.command {
        ModuleCommand::List => port.get("/modules")?,
        ModuleCommand::History { pipeline } => port.get(&format!("/modules/{}/history", escaped(pipeline)))?,
        ModuleCommand::Load { pipeline, source, digest } => {
            port.post(pipeline, "load", json!({ "source": absolute(source)?, "digest": digest }))?
        }
        ModuleCommand::Rollback { pipeline, digest } => port.post(pipeline, "rollback", json!({ "digest": digest }))?,
        ModuleCommand::Pin { pipeline } => port.post(pipeline, "pin", json!({}))?,
        ModuleCommand::Unpin { pipeline } => port.post(pipeline, "unpin", json!({}))?,
        ModuleCommand::Resume { pipeline } => port.post(pipeline, "resume", json!({}))?,
    };
    if json {
        print(&[answer.to_string()])?;
    } else if matches!(args.command, ModuleCommand::History { .. }) {
        print(&history(&answer))?;
    } else {
        print(&list(&answer))?;
    }
    match refusals(&answer) {
        0 => Ok(()),
        _ if matches!(args.command, ModuleCommand::List | ModuleCommand::History { .. }) => Ok(()),
        count => Err(Failure::Running(format!("{count} process(es) of the fleet do not run what was asked for"))),
    }
}

/// The admin port of a process.
struct Port {
    url: String,
    token: Option<Secret>,
}

impl Port {
    fn of(args: &ModuleArgs) -> Result<Self, Failure> {
        use_ring();
        let Some(path) = &args.config else {
            let token = args.token.clone().map(Secret::new);
            return Ok(Self { url: args.admin.trim_end_matches('/').to_owned(), token });
        };
        let config = Config::read(path)?;
        let listen = config.admin.listen.value.0.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:");
        if listen.ends_with(":0") {
            let text = format!("{} lets the admin port be any; name it by --admin URL", path.display());
            return Err(Failure::Usage(text));
        }
        let token = config.admin.token.as_ref().map(|token| token.value.value());
        Ok(Self { url: format!("http://{listen}"), token })
    }

    fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask(reqwest::Client::new().get(format!("{}{path}", self.url)))
    }

    fn post(&self, pipeline: &str, order: &str, body: Value) -> Result<Value, Failure> {
        let url = format!("{}/modules/{}/{order}", self.url, escaped(pipeline));
        let request = reqwest::Client::new().post(url).header("content-type", "application/json");
        self.ask(request.body(body.to_string()))
    }

    fn ask(&self, request: reqwest::RequestBuilder) -> Result<Value, Failure> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        };
        let unreachable = |error: reqwest::Error| {
            let hint = "hint: is it running? `--config` or `--admin` says where";
            Failure::Unreachable(format!("failed to ask the process at {}: {error}\n\n{hint}", self.url))
        };
        let (code, text) = block_on(async {
            let answer = request.send().await?;
            Ok((answer.status(), answer.text().await?))
        })?
        .map_err(unreachable)?;
        let body: Value = serde_json::from_str(&text).unwrap_or(Value::String(text.trim().to_owned()));
        if code.is_success() {
            return Ok(body);
        }
        let why = body["error"].as_str().unwrap_or_else(|| body.as_str().unwrap_or_default());
        Err(match code.as_u16() {
            409 => Failure::Differs(format!("refused, the module that runs goes on: {why}")),
            401 => Failure::Usage(format!("{why}: name it by --token, or by --config")),
            _ => Failure::Usage(why.to_owned()),
        })
    }
}

/// A path means a file; it starts here and not where the process does.
fn absolute(source: &str) -> Result<String, Failure> {
    let (kind, path) = match source.split_once(':') {
        Some((kind @ ("file" | "dir"), path)) => (kind, path),
        Some(_) => return Ok(source.to_owned()),
        None => ("file", source),
    };
    let path = std::path::absolute(Path::new(path));
    let path = path.map_err(|error| Failure::Usage(format!("failed to find {source}: {error}")))?;
    Ok(format!("{kind}:{}", path.display()))
}

fn escaped(pipeline: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let byte = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    pipeline.bytes().map(byte).collect()
}

/// A line for each process of each pipeline.
fn list(answer: &Value) -> Vec<String> {
    let pipelines = answer.as_array().map_or(std::slice::from_ref(answer), Vec::as_slice);
    let mut table = vec![["PIPELINE", "PROCESS", "MODULE", "DIGEST", "STATE"].map(String::from)];
    let mut notes = Vec::new();
    for pipeline in pipelines {
        let name = text(&pipeline["pipeline"]);
        let pinned = if pipeline["pinned"] == true { ", pinned" } else { "" };
        let members = pipeline["members"].as_array().map_or(&[][..], Vec::as_slice);
        for member in members {
            let state = format!("{}{pinned}", text(&member["state"]));
            let digest = short(text(&member["digest"]));
            table.push([name, text(&member["member"]), text(&member["module"]), digest, &state].map(String::from));
            notes.extend(member["why"].as_str().map(|why| format!("{name}, {}: {why}", text(&member["member"]))));
        }
        if members.is_empty() {
            let state = format!("running{pinned}");
            let digest = short(text(&pipeline["digest"]));
            table.push([name, "-", text(&pipeline["module"]), digest, &state].map(String::from));
            notes.extend(pipeline["why"].as_str().map(|why| format!("{name}: {why}")));
        }
    }
    let mut lines = aligned(&table);
    if !notes.is_empty() {
        lines.push(String::new());
        lines.extend(notes);
    }
    lines
}

fn history(answer: &Value) -> Vec<String> {
    let mut table = vec![["WHEN", "BECAUSE", "MODULE", "DIGEST", "GAP", "WHAT"].map(String::from)];
    for entry in answer.as_array().map_or(&[][..], Vec::as_slice) {
        let at = calendar::date_time_64(entry["at_ms"].as_i64().unwrap_or(0), 3);
        let gap = entry["gap_us"].as_f64().map_or("-".into(), |us| format!("{:.1} ms", us / 1000.0));
        let what = entry["refused"].as_str().map_or("ran".to_owned(), |why| format!("refused: {why}"));
        let digest = short(text(&entry["digest"])).to_owned();
        let module = entry["module"].as_str().unwrap_or("-").to_owned();
        table.push([at, text(&entry["because"]).to_owned(), module, digest, gap, what]);
    }
    aligned(&table)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn refusals(answer: &Value) -> usize {
    let members = answer["members"].as_array().map_or(&[][..], Vec::as_slice);
    members.iter().filter(|member| member["state"] != "running" && member["state"] != "silent").count()
}
