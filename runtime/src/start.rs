//! From a configuration to running pipelines: modules loaded, tables compared, sources joined.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::clickhouse::Storage;
use crate::config::{self, Config};
use crate::control::{self, AtWork, Control, First, Fleet, FleetError, Keeper, Name};
use crate::dead_letter::{self, DeadLetters};
use crate::kafka::{self, Brokers, Committer, Publisher, Source, Stopper};
use crate::load::{self, Loader, Refusal};
use crate::metrics::Metrics;
use crate::pipeline::Pipeline;
use crate::processor::Pool;
use crate::schema::{Check, Schema, SchemaError};
use crate::settle::{CommitLog, Settler};
use crate::sink::Sinks;
use crate::status::Status;

/// Why a pipeline cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("pipeline {pipeline:?}: {error}")]
    Module { pipeline: String, error: Refusal },
    #[error("pipeline {pipeline:?}: {error}")]
    Kafka { pipeline: String, error: kafka::Error },
    #[error("pipeline {pipeline:?}: failed to use its schema: {error}")]
    Schema { pipeline: String, error: SchemaError },
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

/// A pipeline that runs.
pub struct Running {
    pub name: String,
    pub keeper: Keeper,
    pub stopper: Stopper,
    /// Ends when the source is stopped and what it read is settled.
    pub ended: futures::future::BoxFuture<'static, Result<(), kafka::Error>>,
}

/// Makes pipelines of a configuration.
pub struct Starter {
    config: Arc<Config>,
    control: Control,
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
    /// Joins the fleet, where there is one. `state` is the folder for what must survive a restart.
    ///
    /// # Errors
    /// If the control topic cannot be used.
    pub async fn new(config: Arc<Config>, state: PathBuf) -> Result<Self, StartError> {
        let fleet = match &config.control {
            Some(control) => Some(Fleet::join(&brokers(&config), &control.topic.value.0).await?),
            None => None,
        };
        let control = Control { loader: loader(config.clone()), folder: state, fleet };
        Ok(Self { config, control })
    }

    /// Loads the module that the pipeline should run.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn prepare(&self, name: &str) -> Result<Prepared, StartError> {
        let pipeline = &self.config.pipelines.value[name];
        let check = check(pipeline).map_err(|error| StartError::Schema { pipeline: name.to_owned(), error })?;
        let name = Name { group: pipeline.group.0.clone(), pipeline: name.to_owned() };
        match self.control.first(&name).await {
            Ok(first) => Ok(Prepared { name, first, check }),
            Err(error) => Err(StartError::Module { pipeline: name.pipeline, error }),
        }
    }

    /// Joins the group and starts the stages. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(&self, prepared: Prepared, metrics: &Metrics, status: &Status) -> Result<Running, StartError> {
        let Prepared { name, first, check } = prepared;
        let pipeline = name.pipeline.clone();
        let config = &self.config.pipelines.value[&pipeline];
        let (metrics, status) = (metrics.pipeline(&pipeline), status.pipeline(&pipeline));
        status.module(first.fitted.module.name());
        first.fitted.report_to(&status);
        let kafka_error = |error| StartError::Kafka { pipeline: pipeline.clone(), error };
        let brokers = brokers(&self.config);
        let publisher = Publisher::new(&brokers).map_err(kafka_error)?;
        publisher.warm_up(written_topics(config)).await;
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
        let (processor, switch) =
            processor.map_err(|error| StartError::Threads { pipeline: pipeline.clone(), error })?;
        let source = Source::start(&brokers, source_settings(config), metrics.clone(), status.clone());
        let source = source.map_err(kafka_error)?;
        let stopper = source.stopper.clone();
        let (events, committer, ended) = source.split();
        let in_flight = config.batch.inserts_in_flight.0 as usize;
        let stages = Pipeline {
            processor,
            calls_in_flight_max: threads * 2,
            limits: self.config.batch_limits(config),
            sinks: Sinks::new(self.storages(config), in_flight, metrics.clone(), status.clone()),
            settler: settler(config, committer, publisher, metrics.clone(), status.clone()),
            metrics,
        };
        let running = AbortOnDrop(tokio::spawn(stages.run(events)));
        let keeper = self.control.keep(&name, first, AtWork { threads, switch, watch, limits, orders }, status);
        let ended = Box::pin(both_end(running, ended, stopper.clone()));
        Ok(Running { name: pipeline, keeper, ended, stopper })
    }

    fn storages(&self, config: &config::Pipeline) -> Vec<Arc<Storage>> {
        let storage = |name| {
            let (cluster, table) = self.control.loader.table(name);
            Arc::new(Storage::new(name, cluster, table, self.config.storages[name].rewrite_timeout.0))
        };
        load::storages(config).into_iter().map(storage).collect()
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
    config.writes().map(|(_, topic)| topic.to_owned()).collect()
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
        select: config.selection(),
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
