//! `tidegate dev`: everything in one command, with an embedded broker and a real ClickHouse.

use std::path::PathBuf;

use clap::Args;
use tidegate_engines::{ClickHouse, Launcher};

use super::{Failure, block_on, run};
use crate::clickhouse::{self, Cluster};
use crate::config::{Config, Text};
use crate::kafka::EmbeddedBroker;
use crate::secret::Secret;
use crate::start::written_topics;

/// The configuration's brokers and hosts are replaced by the embedded ones; its topics are made. The broker keeps
/// 5 MiB per partition in memory and nothing after the end; ClickHouse keeps its data in --data.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate dev pipeline.yaml --schema processors/errors/schema.sql")]
pub struct DevArgs {
    /// The configuration, YAML
    config: PathBuf,
    /// Statements to run in ClickHouse first, several to a file
    #[arg(long, value_name = "FILE")]
    schema: Vec<PathBuf>,
    /// Partitions of the topics that pipelines read
    #[arg(long, default_value_t = 8)]
    partitions: i32,
    /// Folder for ClickHouse's data; a temporary one by default
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct EngineArgs {
    library: PathBuf,
    config: PathBuf,
    pipe: PathBuf,
}

pub fn dev(args: &DevArgs) -> Result<(), Failure> {
    let mut config = Config::read(&args.config)?;
    let temporary = std::env::temp_dir().join(format!("tidegate-dev-{}", std::process::id()));
    let folder = args.data.as_ref().unwrap_or(&temporary);
    let clickhouse = ClickHouse::start(launcher()?, folder).map_err(|error| Failure::Unreachable(error.to_string()))?;
    let broker = EmbeddedBroker::start().map_err(|error| Failure::Running(error.to_string()))?;
    // One process agrees with itself.
    config.control = None;
    for pipeline in config.pipelines.value.values() {
        let read = std::iter::once((pipeline.topic.value.0.clone(), args.partitions));
        for (topic, partitions) in read.chain(written_topics(pipeline).into_iter().map(|topic| (topic, 1))) {
            broker.create_topic(&topic, partitions).map_err(|error| Failure::Running(error.to_string()))?;
        }
    }
    config.kafka.brokers = Text(broker.bootstrap());
    config.kafka.properties.clear();
    for cluster in config.clickhouse.values_mut() {
        cluster.hosts.value = vec![Text(clickhouse.url())];
        (cluster.user, cluster.password) = (Text("default".into()), None);
    }
    println!("kafka       {}", broker.bootstrap());
    println!("clickhouse  {}", clickhouse.url());
    let state = folder.join("modules");
    let outcome = block_on(async {
        for cluster in config.clickhouse.values() {
            prepare_tables(&clickhouse, &cluster.database.0, &args.schema).await?;
        }
        run::pipelines(config.into(), state).await
    })?;
    drop(clickhouse);
    let _ = std::fs::remove_dir_all(temporary);
    outcome
}

/// The hidden command that [`launcher`] starts.
pub fn engine(args: &EngineArgs) -> Result<(), Failure> {
    tidegate_engines::launch(&args.library, &args.config, &args.pipe).map_err(Failure::Running)
}

/// This program, once more.
fn launcher() -> Result<Launcher, Failure> {
    let program = std::env::current_exe();
    let program = program.map_err(|error| Failure::Running(format!("failed to find this program: {error}")))?;
    Ok(Launcher { program, arguments: vec!["engine-clickhouse".into()] })
}

async fn prepare_tables(engine: &ClickHouse, database: &str, files: &[PathBuf]) -> Result<(), Failure> {
    let settings = clickhouse::Settings {
        hosts: vec![engine.url()],
        tls: clickhouse::Tls::default(),
        database: "default".into(),
        user: "default".into(),
        password: Secret::default(),
        timeout: std::time::Duration::from_secs(60),
    };
    let failed = |text: String| Failure::Running(format!("failed to prepare ClickHouse: {text}"));
    let first = Cluster::new(settings.clone());
    let create = format!("CREATE DATABASE IF NOT EXISTS {}", clickhouse::quoted(database));
    first.query(&create).await.map_err(|error| failed(error.to_string()))?;
    let cluster = Cluster::new(clickhouse::Settings { database: database.into(), ..settings });
    for file in files {
        let text = std::fs::read_to_string(file);
        let text = text.map_err(|error| Failure::Usage(format!("failed to read {}: {error}", file.display())))?;
        for statement in clickhouse::statements(&text) {
            let done = cluster.query(&statement).await;
            done.map_err(|error| failed(format!("{}: {error}", file.display())))?;
        }
    }
    Ok(())
}
