//! From a configuration to running pipelines: modules loaded, tables compared, sources joined.

use std::path::PathBuf;
use std::sync::Arc;

use futures::future::try_join_all;
use tokio::sync::mpsc;

use crate::clickhouse::Storage;
use crate::config::{self, Config};
use crate::control::{self, AtWork, Control, First, Fleet, FleetError, Keeper, Name};
use crate::dead_letter::{self, DeadLetters};
use crate::fan_out::{Branch, Taker, fan_out};
use crate::kafka::{self, Brokers, CommitLogs, Committer, Observers, Publisher, Source, Stopper};
use crate::load::{self, Loader, Refusal};
use crate::metrics::{Metrics, PipelineMetrics};
use crate::pipeline::Pipeline;
use crate::processor::Pool;
use crate::schema::{Check, Schema, SchemaError};
use crate::select::Select;
use crate::settle::{CommitLog, Settler};
use crate::sink::Sinks;
use crate::status::{PipelineStatus, Status};

/// Why a pipeline cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("pipeline {pipeline:?}: {error}")]
    Module { pipeline: String, error: Refusal },
    #[error("pipeline {pipeline:?}: {error}")]
    Kafka { pipeline: String, error: kafka::Error },
    #[error("pipeline {pipeline:?}: {error}")]
    CommitLog { pipeline: String, error: tidegate_client::Error },
    #[error("pipeline {pipeline:?}: failed to use its schema: {error}")]
    Schema { pipeline: String, error: SchemaError },
    /// The tables cannot keep what the storage promises.
    #[error("pipeline {pipeline:?}: storage {storage:?}: {}", refusals.join("\n\n"))]
    Consistency { pipeline: String, storage: String, refusals: Vec<String> },
    #[error("pipeline {pipeline:?}: failed to start its threads: {error}")]
    Threads { pipeline: String, error: std::io::Error },
    #[error(transparent)]
    Fleet(#[from] FleetError),
}

/// A pipeline whose module and tables fit each other.
pub struct Prepared {
    pub name: Name,
    pub first: First,
    check: Option<Check>,
}

/// A pipeline that could start: all it lacks is something to read.
struct Furnished {
    name: Name,
    first: First,
    publisher: Publisher,
    commit_log: Option<CommitLog<tidegate_client::CommitLog>>,
    processor: Pool,
    at_work: AtWork,
    metrics: PipelineMetrics,
    status: PipelineStatus,
}

/// A reader that runs, with its pipelines.
pub struct Running {
    pub pipelines: Vec<(String, Keeper)>,
    pub stopper: Stopper,
    /// Ends when the source is stopped and what it read is settled.
    pub ended: futures::future::BoxFuture<'static, Result<(), kafka::Error>>,
}

/// Makes pipelines of a configuration.
pub struct Starter {
    config: Arc<Config>,
    control: Control,
    commit_logs: CommitLogs,
}

/// Where fetched and compiled modules and fetched engines are kept: `$TIDEGATE_CACHE`, else the user's cache folder.
pub fn cache_folder() -> PathBuf {
    tidegate_engines::cache_folder()
}

/// What every client of the configuration's brokers needs to know.
pub fn brokers(config: &Config) -> Brokers {
    Brokers {
        bootstrap: config.kafka.brokers.0.clone(),
        properties: config.kafka.properties.iter().map(|(name, value)| (name.clone(), value.value.value())).collect(),
    }
}

/// Loads modules for the pipelines of the configuration.
pub fn loader(config: Arc<Config>) -> Loader {
    Loader::new(config, &cache_folder())
}

impl Starter {
    /// Joins the fleet, where there is one. `state` is the folder for what must survive a restart, `commit_logs` are those of
    /// the process.
    ///
    /// # Errors
    /// If the control topic cannot be used.
    pub async fn new(config: Arc<Config>, state: PathBuf, commit_logs: CommitLogs) -> Result<Self, StartError> {
        let fleet = match &config.control {
            Some(control) => Some(Fleet::join(&brokers(&config), &control.topic.value.0).await?),
            None => None,
        };
        let control = Control { loader: loader(config.clone()), folder: state, fleet };
        Ok(Self { config, control, commit_logs })
    }

    /// Loads the module that the pipeline should run, and compares what its storages promise with their tables.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn prepare(&self, name: &str) -> Result<Prepared, StartError> {
        let pipeline = &self.config.pipelines.value[name];
        let check = check(pipeline).map_err(|error| StartError::Schema { pipeline: name.to_owned(), error })?;
        let name = Name { group: pipeline.group.0.clone(), pipeline: name.to_owned() };
        let refused = |error| StartError::Module { pipeline: name.pipeline.clone(), error };
        let first = self.control.first(&name).await.map_err(refused)?;
        for storage in load::storages(pipeline) {
            let Some(look) = self.control.loader.look(storage).await.map_err(refused)? else { continue };
            for warning in look.warnings() {
                tracing::warn!(pipeline = name.pipeline, storage, warning, "consistency");
            }
            let refusals = look.refusals();
            if !refusals.is_empty() {
                let (pipeline, storage) = (name.pipeline, storage.to_owned());
                return Err(StartError::Consistency { pipeline, storage, refusals });
            }
        }
        Ok(Prepared { name, first, check })
    }

    /// Joins the group of pipelines that share a reader, and starts their stages. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// See [`StartError`].
    ///
    /// # Panics
    /// Without a pipeline.
    pub async fn start(
        &self,
        prepared: Vec<Prepared>,
        metrics: &Metrics,
        status: &Status,
    ) -> Result<Running, StartError> {
        self.control.loader.report_to(metrics);
        let mut furnished = Vec::new();
        for prepared in prepared {
            furnished.push(self.furnish(prepared, metrics, status).await?);
        }
        let first = furnished[0].name.pipeline.clone();
        let observers = furnished.iter().map(|pipeline| (pipeline.metrics.clone(), pipeline.status.clone())).collect();
        let (settings, takers) = self.reading(furnished.iter().map(|pipeline| &pipeline.name));
        let source = Source::start(&brokers(&self.config), settings, Observers(observers));
        let source = source.map_err(|error| StartError::Kafka { pipeline: first, error })?;
        let stopper = source.stopper.clone();
        let (events, committer, ended) = source.split();
        let (branches, fan_out) = fan_out(events, committer, takers);
        let (mut running, mut pipelines) = (vec![AbortOnDrop(tokio::spawn(fan_out))], Vec::new());
        for (pipeline, branch) in furnished.into_iter().zip(branches) {
            let (keeper, stages) = self.stages(pipeline, branch);
            pipelines.push(keeper);
            running.push(AbortOnDrop(tokio::spawn(stages)));
        }
        let ended = Box::pin(all_end(running, ended, stopper.clone()));
        Ok(Running { pipelines, ended, stopper })
    }

    async fn furnish(&self, prepared: Prepared, metrics: &Metrics, status: &Status) -> Result<Furnished, StartError> {
        let Prepared { name, first, check } = prepared;
        let pipeline = name.pipeline.clone();
        let config = &self.config.pipelines.value[&pipeline];
        let (metrics, status) = (metrics.pipeline(&pipeline), status.pipeline(&pipeline));
        status.module(first.fitted.module.name());
        first.fitted.report_to(&status);
        let publisher = Publisher::new(&brokers(&self.config));
        let publisher = publisher.map_err(|error| StartError::Kafka { pipeline: pipeline.clone(), error })?;
        publisher.warm_up(written_topics(config)).await;
        let commit_log = self.commit_log(config).transpose();
        let commit_log = commit_log.map_err(|error| StartError::CommitLog { pipeline: pipeline.clone(), error })?;
        let threads = config.workers.map_or_else(cores, |workers| workers.0 as usize);
        let ready = self.control.loader.ready(&first.fitted, threads).await;
        let ready = ready.map_err(|error| StartError::Module { pipeline: pipeline.clone(), error })?;
        let (orders, limits) = (mpsc::unbounded_channel(), config.breaker.limits());
        let watch = control::watch(ready.number(), limits, &orders);
        let (observer, watching) = (metrics.clone(), watch.clone());
        let processor = Pool::start(ready, check, threads, move |call| {
            if let Some(gap) = watching.called(&call) {
                observer.gap(gap);
            }
            observer.called(call.ready.module().name(), call.seconds, &call.failures, &call.counted);
            observer.checked(call.checked, call.invalid);
        });
        let (processor, switch) = processor.map_err(|error| StartError::Threads { pipeline, error })?;
        let at_work = AtWork { threads, switch, watch, limits, orders };
        Ok(Furnished { name, first, publisher, commit_log, processor, at_work, metrics, status })
    }

    /// Begins to read it, long before the first partition comes.
    fn commit_log(
        &self,
        config: &config::Pipeline,
    ) -> Option<Result<CommitLog<tidegate_client::CommitLog>, tidegate_client::Error>> {
        let log = config.commit_log.as_ref()?;
        let topic = log.topic.value.0.as_str();
        let (group, heartbeat) = (config.group_in_commit_log().to_owned(), log.heartbeat.0);
        let opened = self.commit_logs.open(topic, group == config.group.0);
        Some(opened.map(|log| CommitLog { topic: topic.into(), log, group, heartbeat }))
    }

    /// What is read for these pipelines, and what each takes of it. One that is alone selects before anything is copied.
    fn reading<'a>(&self, names: impl Iterator<Item = &'a Name>) -> (kafka::Settings, Vec<Taker>) {
        let pipelines: Vec<String> = names.map(|name| name.pipeline.clone()).collect();
        let select = |pipeline: &String| self.config.pipelines.value[pipeline].selection();
        let mut takers: Vec<_> =
            pipelines.iter().map(|name| Taker { pipeline: name.clone(), select: select(name) }).collect();
        let select = if let [alone] = &mut takers[..] { alone.select.take() } else { None };
        let config = &self.config.pipelines.value[&pipelines[0]];
        (source_settings(config, pipelines, select), takers)
    }

    /// The pipeline's work from its branch on, and who keeps its module.
    fn stages(
        &self,
        furnished: Furnished,
        branch: Branch<Committer>,
    ) -> ((String, Keeper), impl Future<Output = ()> + Send + 'static) {
        let Furnished { name, first, publisher, commit_log, processor, at_work, metrics, status } = furnished;
        let config = &self.config.pipelines.value[&name.pipeline];
        let in_flight = config.batch.inserts_in_flight.0 as usize;
        let stages = Pipeline {
            name: name.pipeline.clone(),
            processor,
            calls_in_flight_max: at_work.threads * 2,
            limits: self.config.batch_limits(config),
            sinks: Sinks::new(self.storages(config), in_flight, metrics.clone(), status.clone()),
            settler: Settler {
                share: Arc::new(branch.share),
                publisher: Arc::new(publisher),
                commit_log,
                replacements: config.replacements.as_ref().map(|to| to.topic.0.as_str().into()),
                dead_letters: dead_letters(&config.dead_letters.value),
                metrics: metrics.clone(),
                status: status.clone(),
            },
            metrics,
        };
        let keeper = self.control.keep(&name, first, at_work, status);
        ((name.pipeline, keeper), stages.run(branch.events))
    }

    fn storages(&self, config: &config::Pipeline) -> Vec<Arc<Storage>> {
        let storage = |name| {
            let (cluster, table) = self.control.loader.table(name);
            let of = &self.config.storages[name];
            let storage = Storage::new(name, cluster, table, of.rewrite_timeout.0);
            Arc::new(storage.with_consistency(of.consistency.value.0))
        };
        load::storages(config).into_iter().map(storage).collect()
    }
}

/// The stages end when the source does. If any of them panics, nobody takes what is read any more, and the source must
/// end too.
async fn all_end(
    stages: Vec<AbortOnDrop>,
    source: impl Future<Output = Result<(), kafka::Error>>,
    stopper: Stopper,
) -> Result<(), kafka::Error> {
    let panicked = |_| kafka::Error::Client("the pipeline panicked".into());
    let mut source = std::pin::pin!(source);
    let mut stages = try_join_all(stages.into_iter().map(AbortOnDrop::end));
    tokio::select! {
        ended = &mut source => {
            ended?;
            stages.await.map(drop).map_err(panicked)
        }
        ended = &mut stages => {
            stopper.stop();
            let source = source.await;
            ended.map(drop).map_err(panicked).and(source)
        }
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl AbortOnDrop {
    async fn end(mut self) -> Result<(), tokio::task::JoinError> {
        (&mut self.0).await
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Every topic that a pipeline writes to.
pub fn written_topics(config: &config::Pipeline) -> Vec<String> {
    config.writes().map(|(_, topic)| topic.to_owned()).collect()
}

fn check(config: &config::Pipeline) -> Result<Option<Check>, SchemaError> {
    let Some(schema) = &config.schema else { return Ok(None) };
    let compiled = Schema::read(schema.file.value.0.as_ref())?;
    Ok(Some(Check::new(compiled, schema.sample.0, schema.enforce)))
}

/// Of pipelines that share a reader, any may be asked: the configuration makes sure that they agree.
fn source_settings(config: &config::Pipeline, pipelines: Vec<String>, select: Option<Select>) -> kafka::Settings {
    kafka::Settings {
        topic: config.topic.value.0.clone(),
        group: config.group.0.clone(),
        pipelines,
        start: config.start.into(),
        out_of_range: config.out_of_range.into(),
        select,
        read_ahead_bytes: config.read_ahead.0 as usize,
        drain_timeout: config.drain_timeout.0,
    }
}

fn dead_letters(letters: &config::DeadLetters) -> DeadLetters {
    let on = letters.on.iter().filter_map(|(name, policy)| Some((config::reason(&name.0)?, policy.value.into())));
    let limits = dead_letter::Limits {
        ratio_max: letters.limits.ratio.map(|ratio| ratio.0),
        window: letters.limits.window.map_or(0, |window| window.0),
        consecutive_max: letters.limits.consecutive.map(|consecutive| consecutive.0),
    };
    let topic = letters.topic.as_ref().map(|topic| topic.0.as_str().into());
    DeadLetters::new(topic, on.collect(), limits)
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
        let ended =
            tokio::time::timeout(std::time::Duration::from_secs(10), all_end(vec![stages], source, stopper)).await;
        assert_eq!(ended.unwrap(), Err(kafka::Error::Client("the pipeline panicked".into())));
    }
}
