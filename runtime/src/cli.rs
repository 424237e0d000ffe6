//! The command line: arguments, and what each command prints. `docs/commands.md` explains every command.

mod aligned;
mod author;
mod commit_log;
mod compiler;
mod completions;
mod dev;
mod doctor;
mod dry_run;
mod flags;
mod graph;
mod module;
mod offsets;
mod positions;
mod process;
mod run;
mod schema;
mod validate;
mod wait;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::ConfigError;
use crate::error::Remedy;
use crate::kafka::{self, BystanderError, TopicError};
use crate::load::Refusal;
use crate::start::StartError;

/// Kafka through WebAssembly processors into ClickHouse, with a commit log that is true.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 ok, 1 failed while running, 2 invalid configuration or usage, 3 environment \
    unreachable, 4 a comparison or test failed, 130/143 interrupted.")]
struct Cli {
    #[command(flatten)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Args)]
struct Output {
    /// Print JSON instead of text
    #[arg(long, global = true)]
    json: bool,
    /// How log lines look
    #[arg(long, global = true, value_enum, default_value = "text")]
    log_format: LogFormat,
    /// What is logged, e.g. `debug` or `tidegate::kafka=debug`
    #[arg(long, global = true, env = "TIDEGATE_LOG", default_value = "info")]
    log: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Author(author::AuthorCommand),
    /// Run the pipelines of a configuration until SIGTERM or SIGINT
    Run(ConfigArgs),
    /// Check a configuration; nothing is contacted
    Validate(ConfigArgs),
    /// Print the routing of a configuration as a picture; nothing is contacted
    Graph(graph::GraphArgs),
    /// Connect, compare the module's columns with the tables, check the topics; nothing is written
    DryRun(ConfigArgs),
    /// Look at the brokers and clusters, and say what will hurt and what mends it
    Doctor(doctor::DoctorArgs),
    /// Show what a module makes of messages in files; needs neither Kafka nor ClickHouse
    Process(process::ProcessArgs),
    /// Print the JSON Schema of the configuration
    Schema,
    /// Look at a commit log, and compare it with what is there
    #[command(subcommand)]
    CommitLog(commit_log::CommitLogCommand),
    /// Look at the positions of pipelines, and move them
    #[command(subcommand)]
    Offsets(offsets::OffsetsCommand),
    /// Wait until messages are written
    Wait(wait::WaitArgs),
    /// Look at what readers must know of a project after replacements
    #[command(subcommand)]
    Flags(flags::FlagsCommand),
    /// Look at the modules of a running process, and change them while it runs
    Module(module::ModuleArgs),
    /// Run pipelines with an embedded broker and a real ClickHouse
    Dev(dev::DevArgs),
    /// Print completions for a shell
    Completions(completions::CompletionsArgs),
    /// ClickHouse in a process of its own, for `dev`
    #[command(hide = true)]
    EngineClickhouse(dev::EngineArgs),
    /// Compile a module in a process of its own
    #[command(hide = true)]
    Compiler(compiler::CompilerArgs),
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// The configuration, YAML
    config: PathBuf,
}

/// How a command failed; decides the exit code.
#[derive(Debug)]
enum Failure {
    Running(String),
    Usage(String),
    Unreachable(String),
    Differs(String),
    /// By a signal, after an orderly end.
    Interrupted(u8),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(&cli.output);
    match execute(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn execute(cli: &Cli) -> Result<(), Failure> {
    match &cli.command {
        Command::Author(command) => author::execute(command, cli.output.json),
        Command::Run(args) => run::run(&args.config),
        Command::Validate(args) => validate::validate(&args.config, cli.output.json),
        Command::Graph(args) => graph::graph(args),
        Command::DryRun(args) => dry_run::dry_run(&args.config, cli.output.json),
        Command::Doctor(args) => doctor::doctor(args, cli.output.json),
        Command::Process(args) => process::process(args),
        Command::Schema => schema::schema(),
        Command::CommitLog(command) => commit_log::execute(command, cli.output.json),
        Command::Offsets(command) => offsets::execute(command, cli.output.json),
        Command::Wait(args) => wait::wait(args, cli.output.json),
        Command::Flags(command) => flags::execute(command, cli.output.json),
        Command::Module(args) => module::execute(args, cli.output.json),
        Command::Dev(args) => dev::dev(args),
        Command::Completions(args) => completions::completions::<Cli>(args),
        Command::EngineClickhouse(args) => dev::engine(args),
        Command::Compiler(args) => compiler::compiler(args),
    }
}

fn start_log(output: &Output) {
    let filter = tracing_subscriber::EnvFilter::builder().parse_lossy(&output.log);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match output.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}

/// Runs a command that talks to the world. What still waits for an answer at the end does not keep the process.
fn block_on<T>(command: impl Future<Output = T>) -> Result<T, Failure> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = built.map_err(|error| Failure::Running(format!("failed to start the runtime: {error}")))?;
    let done = runtime.block_on(command);
    runtime.shutdown_background();
    Ok(done)
}

impl Failure {
    fn report(self) -> ExitCode {
        let (text, code) = match self {
            Failure::Running(text) => (text, 1),
            Failure::Usage(text) => (text, 2),
            Failure::Unreachable(text) => (text, 3),
            Failure::Differs(text) => (text, 4),
            Failure::Interrupted(code) => return ExitCode::from(code),
        };
        eprintln!("error: {text}");
        ExitCode::from(code)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Failure::Usage(error.to_string())
    }
}

/// Of settings that no client can be made of; what cannot be reached has errors of its own.
impl From<kafka::Error> for Failure {
    fn from(error: kafka::Error) -> Self {
        Failure::Usage(error.to_string())
    }
}

impl From<TopicError> for Failure {
    fn from(error: TopicError) -> Self {
        let text = error.to_string();
        match error {
            TopicError::Unknown { .. } => Failure::Differs(text),
            TopicError::Unreachable { .. } => Failure::Unreachable(text),
        }
    }
}

impl From<BystanderError> for Failure {
    fn from(error: BystanderError) -> Self {
        let text = error.to_string();
        match error {
            BystanderError::Topic(error) => error.into(),
            BystanderError::Client { .. } => Failure::Usage(text),
            BystanderError::Move { .. } => Failure::Running(text),
            BystanderError::Ask { .. } | BystanderError::Members { .. } => Failure::Unreachable(text),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let text = error.to_string();
        match error {
            StartError::Module { error: Refusal::Mismatch { .. }, .. } => {
                let hint = "hint: change the table (ALTER TABLE … ADD COLUMN), or use a module that fits it";
                Failure::Differs(format!("{text}\n\n{hint}"))
            }
            StartError::Consistency { .. } => Failure::Differs(text),
            StartError::Module { error: Refusal::Table { .. }, .. } | StartError::Fleet(_) => {
                Failure::Unreachable(text)
            }
            StartError::Module { error: Refusal::Sandbox(_), .. } | StartError::Threads { .. } => {
                Failure::Running(text)
            }
            StartError::Module { error: Refusal::Fetch(error), .. } if error.remedy() == Remedy::Retry => {
                Failure::Unreachable(text)
            }
            StartError::Module {
                error: Refusal::Fetch(_) | Refusal::Source(_) | Refusal::Module(_) | Refusal::SelfTest { .. },
                ..
            }
            | StartError::Kafka { .. }
            | StartError::CommitLog { .. }
            | StartError::Schema { .. } => Failure::Usage(text),
        }
    }
}
