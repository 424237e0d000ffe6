//! A module for a pipeline: fetched, compiled, understood, compared with the tables, configured. What fails here changes nothing
//! that runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tidegate_rows::Layout;

use crate::clickhouse::{self, Cluster};
use crate::config::{self, Config};
use crate::consistency::{self, Look};
use crate::digest::{Digest, NoDigest};
use crate::metrics::Metrics;
use crate::module_source::{FetchError, Fetched, ModuleSource, Stamp, blocking};
use crate::processor::{
    CompileLimits, Engine, InstanceConfig, Interruption, Limits, LoadError, Module, Ready, SelfTestError, self_test,
};
use crate::route::{Route, Routes};
use crate::status::PipelineStatus;

/// Loads modules for the pipelines of a configuration.
#[derive(Clone)]
pub struct Loader {
    config: Arc<Config>,
    /// Compiled code.
    cache: PathBuf,
    /// What was fetched.
    store: PathBuf,
    engines: Arc<Mutex<BTreeMap<bool, Engine>>>,
    clusters: Arc<BTreeMap<String, Arc<Cluster>>>,
}

/// Where a module is to come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// As a configuration says it.
    pub source: String,
    /// SHA-256 that the component must have, hexadecimal, with or without `sha256:`.
    pub digest: Option<String>,
}

/// A module that fits its pipeline.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// Where it came from: as it was asked for if that is watched, else as precisely as it was found.
    pub source: String,
    /// Of a watched source, as it was before it was fetched: what changes after that is another module.
    pub stamp: Option<Stamp>,
    pub module: Module,
    pub instance: InstanceConfig,
    pub routes: Arc<Routes>,
}

/// Why a pipeline cannot run a module.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The source is no source.
    #[error("{0}")]
    Source(String),
    #[error(transparent)]
    Fetch(FetchError),
    #[error(transparent)]
    Module(LoadError),
    /// The tables, the module and the configuration do not fit each other.
    #[error("module {module} does not fit: {}", differences.join("; "))]
    Mismatch { module: String, differences: Vec<String> },
    #[error("module {module} fails its self-test: {error}")]
    SelfTest { module: String, error: SelfTestError },
    #[error("storage {storage:?}: {error}")]
    Table { storage: String, error: clickhouse::Error },
    #[error("failed to set up the sandbox: {0}")]
    Sandbox(String),
}

impl Loader {
    /// What is fetched and compiled is kept below `cache`.
    pub fn new(config: Arc<Config>, cache: &Path) -> Self {
        let clusters = config.clickhouse.iter();
        let clusters = clusters.map(|(name, cluster)| (name.clone(), Arc::new(Cluster::new(cluster.settings()))));
        let clusters = Arc::new(clusters.collect());
        Self {
            config,
            cache: cache.join("modules"),
            store: cache.join("components"),
            engines: Arc::default(),
            clusters,
        }
    }

    /// Where the configuration says that a pipeline's module comes from.
    pub fn configured(&self, pipeline: &str) -> Origin {
        let mut source = self.module(pipeline).source.value.clone();
        // It is kept beyond this process, whose folder another need not have.
        source.start_at(&std::env::current_dir().unwrap_or_default());
        Origin { source: source.to_string(), digest: None }
    }

    /// Fetches, compiles, compares and tests a module for a pipeline.
    ///
    /// # Errors
    /// See [`Refusal`]; nothing that runs has changed.
    pub async fn load(&self, pipeline: &str, origin: &Origin) -> Result<Fitted, Refusal> {
        let of = self.module(pipeline);
        let source = origin.parse().map_err(Refusal::Source)?;
        let mut settings = of.fetch_settings(self.store.clone());
        if !source.is_at_the_same_server(&of.source.value) {
            settings.auth = None;
        }
        let stamp = self.stamp(pipeline, &origin.source).await;
        let Fetched { wasm, origin: found, .. } = source.fetch(&settings).await.map_err(Refusal::Fetch)?;
        let asked = origin.source.clone();
        let from = if stamp.is_some() { asked.clone() } else { found.clone() };
        let limits = CompileLimits { memory_bytes_max: of.compile_memory.0, time_max: of.compile_time.0 };
        let engine = self.engine(of.interruption.into())?.compiling_apart(limits);
        let cache = self.cache.clone();
        tracing::debug!(pipeline, asked, found, "module fetched");
        let compiled = blocking(move || Module::compile(&engine, &wasm, &found, &cache)).await;
        self.fit(pipeline, (from, stamp), compiled.map_err(Refusal::Module)?).await
    }

    /// Changes when a watched source may have changed; none for sources that are not watched.
    pub async fn stamp(&self, pipeline: &str, source: &str) -> Option<Stamp> {
        let source = ModuleSource::parse(source, Path::new("/")).ok().filter(|_| self.module(pipeline).watch)?;
        blocking(move || source.stamp()).await
    }

    /// Makes the instances: after this, nothing can go wrong when the module is switched to.
    ///
    /// # Errors
    /// If the module refuses its configuration, or the machine gives no memory.
    pub async fn ready(&self, fitted: &Fitted, threads: usize) -> Result<Arc<Ready>, Refusal> {
        let Fitted { module, instance, routes, .. } = fitted.clone();
        let made = blocking(move || Ready::new(module, instance, routes, threads)).await;
        made.map_err(Refusal::Module)
    }

    /// The cluster of a storage of the configuration, and its table.
    pub fn table(&self, storage: &str) -> (Arc<Cluster>, &str) {
        let storage = &self.config.storages[storage];
        (self.clusters[&storage.cluster.value.0].clone(), &storage.table.0)
    }

    /// What the table of a storage makes of the storage's consistency; nothing where that promises nothing.
    ///
    /// # Errors
    /// If the cluster cannot be asked.
    pub async fn look(&self, storage: &str) -> Result<Option<Look>, Refusal> {
        let profile = self.config.storages[storage].consistency.value.0;
        let (cluster, table) = self.table(storage);
        let look = consistency::look(profile, &cluster, table).await;
        look.map_err(|error| Refusal::Table { storage: storage.to_owned(), error })
    }

    /// Other pipelines of the configuration whose rows go to the table of this storage, too.
    pub fn others_that_write(&self, pipeline: &str, storage: &str) -> Vec<&str> {
        let place = |storage: &str| {
            let storage = &self.config.storages[storage];
            (&storage.cluster.value, &storage.table)
        };
        let others = self.config.pipelines.value.iter().filter(|(name, _)| *name != pipeline);
        let writes = others.filter(|(_, other)| storages(other).into_iter().any(|to| place(to) == place(storage)));
        writes.map(|(name, _)| name.as_str()).collect()
    }

    /// From now on the clusters count which of their hosts fail.
    pub fn report_to(&self, metrics: &Metrics) {
        self.clusters.values().for_each(|cluster| cluster.report_to(metrics));
    }

    /// Compares the module's columns with the tables that the pipeline sends them to, and runs its self-test.
    async fn fit(
        &self,
        name: &str,
        (source, stamp): (String, Option<Stamp>),
        module: Module,
    ) -> Result<Fitted, Refusal> {
        let pipeline = &self.config.pipelines.value[name];
        let mismatch = |differences| {
            let name = module.name();
            Refusal::Mismatch { module: name.titled(), differences }
        };
        let routes = routes(pipeline, &module).map_err(mismatch)?;
        let mut layouts: Vec<Layout> = module.layouts().to_vec();
        let mut differences = Vec::new();
        for (index, Route { storage, .. }) in routes.storages.iter().enumerate() {
            let output = routes.outputs.iter().position(|to| to.contains(&index)).unwrap_or(0);
            let declared = &module.layouts()[output];
            let (cluster, table) = self.table(storage);
            let described = cluster.describe(table).await;
            let described = described.map_err(|error| Refusal::Table { storage: storage.clone(), error })?;
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
        }
        if !differences.is_empty() {
            return Err(mismatch(differences));
        }
        let of = self.module(name);
        let limits = Limits { memory_bytes_max: of.memory.0 as usize, base: of.base.0, per_message: of.per_message.0 };
        let topics = vec![pipeline.topic.value.0.clone()];
        let instance = InstanceConfig { params: of.params.to_string(), topics, limits, layouts };
        let fitted = Fitted { source, stamp, module, instance, routes: Arc::new(routes) };
        let testing = fitted.clone();
        blocking(move || self_test(&testing.module, &testing.instance)).await.map_err(|error| {
            let name = fitted.module.name();
            Refusal::SelfTest { module: name.titled(), error }
        })?;
        Ok(fitted)
    }

    fn module(&self, pipeline: &str) -> &config::Module {
        &self.config.modules[&self.config.pipelines.value[pipeline].module.value.0]
    }

    fn engine(&self, interruption: Interruption) -> Result<Engine, Refusal> {
        let mut engines = self.engines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let key = interruption == Interruption::Epoch;
        if let Some(engine) = engines.get(&key) {
            return Ok(engine.clone());
        }
        let engine = Engine::new(interruption).map_err(|error| Refusal::Sandbox(error.to_string()))?;
        engines.insert(key, engine.clone());
        Ok(engine)
    }
}

impl Origin {
    pub fn of(source: &str, digest: &str) -> Self {
        Self { source: source.to_owned(), digest: Some(digest.to_owned()) }
    }

    fn parse(&self) -> Result<ModuleSource, String> {
        let source = ModuleSource::parse(&self.source, Path::new("/"))?;
        match &self.digest {
            None => Ok(source),
            Some(digest) => {
                let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
                let digest: Digest = format!("sha256:{hex}").parse().map_err(|error: NoDigest| error.to_string())?;
                source.pinned(digest).ok_or_else(|| format!("source {} has another digest than {digest}", self.source))
            }
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.digest {
            Some(digest) => write!(f, "{} with digest {digest}", self.source),
            None => f.write_str(&self.source),
        }
    }
}

impl Fitted {
    /// Where it is said that no calls are made because too many do not return.
    pub fn report_to(&self, status: &PipelineStatus) {
        let status = status.clone();
        self.module.on_hold(move |why| match why {
            Some(why) => status.hold("processor", why),
            None => status.clear("processor"),
        });
    }

    /// Hexadecimal.
    pub fn digest(&self) -> String {
        self.module.name().digest.hex()
    }
}

/// The storages of a pipeline, each once: what [`Route::sink`] is an index into.
pub fn storages(pipeline: &config::Pipeline) -> Vec<&str> {
    let mut storages: Vec<&str> = Vec::new();
    for storage in pipeline.outputs.value.values().flatten() {
        if !storages.contains(&storage.value.0.as_str()) {
            storages.push(&storage.value.0);
        }
    }
    storages
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
    let sinks = storages(config);
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
        let columns: Arc<[String]> = output.columns.iter().map(|(name, _)| name.clone()).collect();
        let mut to = Vec::new();
        for storage in storages {
            let storage = storage.value.0.clone();
            let sink = sinks.iter().position(|sink| *sink == storage).unwrap_or_default();
            to.push(routes.storages.len());
            routes.storages.push(Route { output: output.name.clone(), storage, sink, columns: columns.clone() });
        }
        routes.outputs.push(to);
    }
    if differences.is_empty() { Ok(routes) } else { Err(differences) }
}
