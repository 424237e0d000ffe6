//! From a configuration to running pipelines: modules loaded, tables looked at, columns compared, sources joined.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_rows::Layout;

use crate::accumulate::{self, Route, Routes};
use crate::clickhouse::{self, Cluster, Storage};
use crate::config::{self, Config};
use crate::dead_letter::{self, DeadLetters};
use crate::kafka::{self, Brokers, Committer, Publisher, Source, Stopper};
use crate::metrics::Metrics;
use crate::pipeline::Pipeline;
use crate::processor::{Engine, InstanceConfig, Interruption, Limits, LoadError, Module, Pool};
use crate::schema::{Check, Schema, SchemaError};
use crate::settle::{CommitLog, Settler};
use crate::sink::Sinks;
use crate::status::Status;

/// Why a pipeline cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("pipeline {pipeline:?}: {error}")]
    Module { pipeline: String, error: LoadError },
    /// The tables, the module and the configuration do not fit each other.
    #[error("pipeline {pipeline:?}: {}", differences.join("; "))]
    Mismatch { pipeline: String, differences: Vec<String> },
    #[error("pipeline {pipeline:?}, storage {storage:?}: {error}")]
    Table { pipeline: String, storage: String, error: clickhouse::Error },
    #[error("pipeline {pipeline:?}: {error}")]
    Kafka { pipeline: String, error: kafka::Error },
    #[error("pipeline {pipeline:?}: failed to use its schema: {error}")]
    Schema { pipeline: String, error: SchemaError },
    #[error("failed to set up the sandbox: {0}")]
    Sandbox(String),
}

/// A pipeline whose module and tables fit each other.
pub struct Prepared {
    pub name: String,
    pub module: Module,
    pub routes: Routes,
    storages: Vec<Storage>,
    instance: InstanceConfig,
    check: Option<Check>,
}

/// A pipeline that runs.
pub struct Running {
    pub name: String,
    pub stopper: Stopper,
    /// Ends when the source is stopped and what it read is settled.
    pub ended: futures::future::BoxFuture<'static, Result<(), kafka::Error>>,
}

/// Makes pipelines of a configuration.
pub struct Starter<'a> {
    config: &'a Config,
    cache: PathBuf,
    engines: BTreeMap<bool, Engine>,
    clusters: BTreeMap<&'a str, Arc<Cluster>>,
}

/// Where compiled modules and fetched engines are kept: `$TIDEGATE_CACHE`, else the user's cache folder.
pub fn cache_folder() -> PathBuf {
    tidegate_engines::cache_folder()
}

impl<'a> Starter<'a> {
    pub fn new(config: &'a Config) -> Self {
        let clusters = config.clickhouse.iter().map(|(name, cluster)| {
            let settings = clickhouse::Settings {
                hosts: cluster.hosts.value.iter().map(|host| host.0.clone()).collect(),
                database: cluster.database.0.clone(),
                user: cluster.user.0.clone(),
                password: cluster.password.as_ref().map(|secret| secret.value.value()).unwrap_or_default(),
                timeout: cluster.timeout.0,
            };
            (name.as_str(), Arc::new(Cluster::new(settings)))
        });
        let clusters = clusters.collect();
        Self { config, cache: cache_folder().join("modules"), engines: BTreeMap::new(), clusters }
    }

    pub fn brokers(&self) -> Brokers {
        let kafka = &self.config.kafka;
        Brokers {
            bootstrap: kafka.brokers.0.clone(),
            properties: kafka.properties.iter().map(|(name, value)| (name.clone(), value.value.value())).collect(),
        }
    }

    /// Loads the module and compares its columns with the tables.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn prepare(&mut self, name: &str) -> Result<Prepared, StartError> {
        let config = self.config;
        let pipeline = &config.pipelines.value[name];
        let module = self.module(name, &pipeline.module.value.0)?;
        let mismatch = |differences| StartError::Mismatch { pipeline: name.to_owned(), differences };
        let routes = routes(pipeline, &module).map_err(mismatch)?;
        let mut layouts: Vec<Layout> = module.layouts().to_vec();
        let (mut storages, mut differences) = (Vec::new(), Vec::new());
        for (index, Route { storage, .. }) in routes.storages.iter().enumerate() {
            let output = routes.outputs.iter().position(|to| to.contains(&index)).unwrap_or(0);
            let declared = &module.layouts()[output];
            let (cluster, table) = self.table(storage);
            let described = self.describe(name, storage).await?;
            differences.extend(compare(declared, &described, table));
            if let Ok(real) = Layout::parse(written(&described))
                && declared.differences(&real).is_empty()
            {
                let types = declared.as_in(&real);
                // Rows are walked once, so one layout must be that of all tables of an output.
                if routes.outputs[output].first() == Some(&index) {
                    layouts[output] = types;
                } else if layouts[output] != types {
                    differences.push(format!("table {table:?} has other types than the first table of its output"));
                }
            }
            let columns: Vec<String> = declared.columns().iter().map(|column| column.name.clone()).collect();
            let timeout = config.storages[storage].rewrite_timeout.0;
            storages.push(Storage::new(storage, cluster, table, &columns, timeout));
        }
        if !differences.is_empty() {
            return Err(mismatch(differences));
        }
        let of = &config.modules[&pipeline.module.value.0];
        let limits = Limits { memory_bytes_max: of.memory.0 as usize, base: of.base.0, per_message: of.per_message.0 };
        let topics = vec![pipeline.topic.value.0.clone()];
        let instance = InstanceConfig { params: of.params.to_string(), topics, limits, layouts };
        let check = check(pipeline).map_err(|error| StartError::Schema { pipeline: name.to_owned(), error })?;
        Ok(Prepared { name: name.to_owned(), module, routes, storages, instance, check })
    }

    /// Joins the group and starts the stages. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(&self, prepared: Prepared, metrics: &Metrics, status: &Status) -> Result<Running, StartError> {
        let name = prepared.name.clone();
        let config = &self.config.pipelines.value[&name];
        let (metrics, status) = (metrics.pipeline(&name), status.pipeline(&name));
        status.module(prepared.module.name());
        let held = status.clone();
        prepared.module.on_hold(move |why| match why {
            Some(why) => held.hold("processor", why),
            None => held.clear("processor"),
        });
        let kafka_error = |error| StartError::Kafka { pipeline: name.clone(), error };
        let publisher = Publisher::new(&self.brokers()).map_err(kafka_error)?;
        publisher.warm_up(written_topics(config)).await;
        let threads = config.workers.map_or_else(cores, |workers| workers.0 as usize);
        let observer = metrics.clone();
        let processor = Pool::start(prepared.module, prepared.instance, prepared.check, threads, move |call| {
            observer.called(call.module.name(), call.seconds, &call.failures, &call.counted);
            observer.checked(call.checked, call.invalid);
        });
        let processor = processor.map_err(|error| StartError::Module { pipeline: name.clone(), error })?;
        let settings = source_settings(config);
        let source = Source::start(&self.brokers(), settings, metrics.clone(), status.clone()).map_err(kafka_error)?;
        let stopper = source.stopper.clone();
        let (events, committer, ended) = source.split();
        let sinks = Sinks::new(
            prepared.storages.into_iter().map(Arc::new).collect(),
            config.batch.inserts_in_flight.0 as usize,
            metrics.clone(),
            status.clone(),
        );
        let pipeline = Pipeline {
            processor,
            calls_in_flight_max: threads * 2,
            routes: prepared.routes,
            limits: accumulate::Limits {
                rows_max: config.batch.rows.0,
                bytes_max: config.batch.bytes.0,
                time_max: config.batch.time.0,
            },
            sinks,
            settler: settler(config, committer, publisher, metrics.clone(), status),
            metrics,
        };
        let running = AbortOnDrop(tokio::spawn(pipeline.run(events)));
        Ok(Running { name, ended: Box::pin(both_end(running, ended, stopper.clone())), stopper })
    }

    fn module(&mut self, pipeline: &str, name: &str) -> Result<Module, StartError> {
        let module = &self.config.modules[name];
        let interruption = Interruption::from(module.interruption);
        let engine = match self.engines.entry(interruption == Interruption::Epoch) {
            std::collections::btree_map::Entry::Occupied(engine) => engine.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                let engine = Engine::new(interruption).map_err(|error| StartError::Sandbox(error.to_string()))?;
                place.insert(engine)
            }
        };
        Module::load(engine, &module.path(), &self.cache)
            .map_err(|error| StartError::Module { pipeline: pipeline.to_owned(), error })
    }

    /// The cluster of a storage of the configuration, and its table.
    pub fn table(&self, storage: &str) -> (Arc<Cluster>, &'a str) {
        let storage = &self.config.storages[storage];
        (self.clusters[storage.cluster.value.0.as_str()].clone(), &storage.table.0)
    }

    async fn describe(&self, pipeline: &str, storage: &str) -> Result<Vec<clickhouse::Column>, StartError> {
        let (cluster, table) = self.table(storage);
        cluster.describe(table).await.map_err(|error| StartError::Table {
            pipeline: pipeline.to_owned(),
            storage: storage.to_owned(),
            error,
        })
    }
}

/// The stages end when the source does. If they panic, nobody takes what is read any more, and the source must end too.
async fn both_end(
    mut stages: AbortOnDrop,
    source: impl Future<Output = Result<(), kafka::Error>>,
    stopper: Stopper,
) -> Result<(), kafka::Error> {
    let panicked = |_| kafka::Error::Client("the pipeline panicked".into());
    let mut source = std::pin::pin!(source);
    tokio::select! {
        ended = &mut source => {
            ended?;
            (&mut stages.0).await.map_err(panicked)
        }
        ended = &mut stages.0 => {
            stopper.stop();
            let source = source.await;
            ended.map_err(panicked).and(source)
        }
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Every topic that a pipeline writes to.
pub fn written_topics(config: &config::Pipeline) -> Vec<String> {
    let commit_log = config.commit_log.as_ref().map(|log| log.topic.value.0.clone());
    let replacements = config.replacements.as_ref().map(|replacements| replacements.topic.0.clone());
    let dead_letters = config.dead_letters.value.topic.as_ref().map(|topic| topic.0.clone());
    commit_log.into_iter().chain(replacements).chain(dead_letters).collect()
}

/// The columns that may be written, with their types.
fn written(described: &[clickhouse::Column]) -> impl Iterator<Item = (String, &str)> {
    let computed = |column: &&clickhouse::Column| matches!(column.default_kind.as_str(), "MATERIALIZED" | "ALIAS");
    described.iter().filter(move |column| !computed(column)).map(|column| (column.name.clone(), column.kind.as_str()))
}

fn compare(declared: &Layout, described: &[clickhouse::Column], table: &str) -> Vec<String> {
    let names: Vec<&str> = declared.columns().iter().map(|column| column.name.as_str()).collect();
    let of_declared = written(described).filter(|(name, _)| names.contains(&name.as_str()));
    match Layout::parse(of_declared) {
        Ok(real) => declared.differences(&real).iter().map(|text| format!("table {table:?}: {text}")).collect(),
        Err(error) => vec![format!("table {table:?}: {error}")],
    }
}

fn routes(config: &config::Pipeline, module: &Module) -> Result<Routes, Vec<String>> {
    let mut routes = Routes { storages: Vec::new(), outputs: Vec::new() };
    let (outputs, mut differences) = (&module.manifest().outputs, Vec::new());
    for name in config.outputs.value.keys() {
        if !outputs.iter().any(|output| output.name == *name) {
            let known: Vec<_> = outputs.iter().map(|output| output.name.as_str()).collect();
            differences.push(format!("the module has no output {name:?}; it has {}", known.join(", ")));
        }
    }
    for output in outputs {
        let Some(storages) = config.outputs.value.get(&output.name) else {
            differences.push(format!("output {:?} of the module goes to no storage", output.name));
            continue;
        };
        let mut to = Vec::new();
        for storage in storages {
            routes.storages.push(Route { output: output.name.clone(), storage: storage.value.0.clone() });
            to.push(routes.storages.len() - 1);
        }
        routes.outputs.push(to);
    }
    if differences.is_empty() { Ok(routes) } else { Err(differences) }
}

fn check(config: &config::Pipeline) -> Result<Option<Check>, SchemaError> {
    let Some(schema) = &config.schema else { return Ok(None) };
    let compiled = Schema::read(schema.file.value.0.as_ref())?;
    Ok(Some(Check::new(compiled, schema.sample.0, schema.enforce)))
}

fn source_settings(config: &config::Pipeline) -> kafka::Settings {
    kafka::Settings {
        topic: config.topic.value.0.clone(),
        group: config.group.0.clone(),
        start: config.start.into(),
        out_of_range: config.out_of_range.into(),
        select: config.select.as_ref().map(config::Select::rules),
        read_ahead_bytes: config.read_ahead.0 as usize,
        drain_timeout: config.drain_timeout.0,
    }
}

fn settler(
    config: &config::Pipeline,
    committer: Committer,
    publisher: Publisher,
    metrics: crate::metrics::PipelineMetrics,
    status: crate::status::PipelineStatus,
) -> Settler<Committer, Publisher> {
    let letters = &config.dead_letters.value;
    let on = letters.on.iter().filter_map(|(name, policy)| Some((config::reason(&name.0)?, policy.value.into())));
    let limits = dead_letter::Limits {
        ratio_max: letters.limits.ratio.map(|ratio| ratio.0),
        window: letters.limits.window.map_or(0, |window| window.0),
        consecutive_max: letters.limits.consecutive.map(|consecutive| consecutive.0),
    };
    let topic = letters.topic.as_ref().map(|topic| topic.0.as_str().into());
    Settler {
        committer: Arc::new(committer),
        publisher: Arc::new(publisher),
        group: config.group.0.clone(),
        commit_log: config
            .commit_log
            .as_ref()
            .map(|log| CommitLog { topic: log.topic.value.0.as_str().into(), heartbeat: log.heartbeat.0 }),
        replacements: config.replacements.as_ref().map(|to| to.topic.0.as_str().into()),
        dead_letters: DeadLetters::new(topic, on.collect(), limits),
        metrics,
        status,
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn stages_that_panic_end_the_source_too() {
        let stopped = Arc::new(AtomicBool::new(false));
        let stopper = Stopper::new(stopped.clone(), std::thread::current());
        let source = async {
            while !stopped.load(Ordering::Acquire) {
                tokio::task::yield_now().await;
            }
            Ok(())
        };
        let stages = AbortOnDrop(tokio::spawn(async { panic!("as a bug of ours would") }));
        let ended = tokio::time::timeout(std::time::Duration::from_secs(10), both_end(stages, source, stopper)).await;
        assert_eq!(ended.unwrap(), Err(kafka::Error::Client("the pipeline panicked".into())));
    }
}
