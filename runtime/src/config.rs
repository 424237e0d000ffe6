//! The configuration: one YAML file, strict. What is read here is plain data; nothing of the pipeline names it.
//! `docs/configuration.md` explains every key.

mod check;
mod error;
mod intake;
mod scalar;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

pub use error::{ConfigError, Problem};
pub use intake::{Schema, Select};
pub use scalar::{Count, Duration, Ratio, Secret, Size, Text};

use crate::dead_letter::Policy;
use crate::outcome::Reason;
use crate::processor::Interruption;

/// A tidegate configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Version of this format: 1.
    pub version: Count,
    pub kafka: Kafka,
    /// ClickHouse clusters by name.
    pub clickhouse: BTreeMap<String, Cluster>,
    /// Processors by name.
    pub modules: BTreeMap<String, Module>,
    /// Tables by name.
    pub storages: BTreeMap<String, Storage>,
    /// What runs, by name.
    pub pipelines: BTreeMap<String, Pipeline>,
    #[serde(default)]
    pub admin: Admin,
}

/// The brokers that every pipeline reads from and publishes to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    /// `host:port`, several separated by commas.
    pub brokers: Text,
    /// Any property of librdkafka; those that tidegate decides are refused.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub properties: BTreeMap<String, Spanned<Text>>,
}

/// A ClickHouse cluster, reached over HTTP.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// `http://host:port` or `https://host:port`; the first that answers is used.
    #[schemars(with = "Vec<String>")]
    pub hosts: Spanned<Vec<Text>>,
    #[serde(default = "Text::default_word")]
    pub database: Text,
    #[serde(default = "Text::default_word")]
    pub user: Text,
    /// By reference: `{env: NAME}` or `{file: PATH}`.
    #[serde(default)]
    pub password: Secret,
    /// How long one request may take.
    #[serde(default = "Duration::minute")]
    pub timeout: Duration,
}

/// A processor and what it may use.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// `file:PATH`; a relative path starts at the configuration file.
    #[schemars(with = "String")]
    pub source: Spanned<Text>,
    /// Linear memory of one instance.
    #[serde(default = "Size::memory")]
    pub memory: Size,
    /// A call may take `base + messages × per_message`.
    #[serde(default = "Duration::base")]
    pub base: Duration,
    #[serde(default = "Duration::per_message")]
    pub per_message: Duration,
    #[serde(default)]
    pub interruption: InterruptionName,
    /// The processor's own settings.
    #[serde(default = "empty_object")]
    pub params: serde_json::Value,
}

/// Whether a call can be cut off at its deadline; `off` is for trusted code only.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InterruptionName {
    #[default]
    Epoch,
    Off,
}

/// A table.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    #[schemars(with = "String")]
    pub cluster: Spanned<Text>,
    pub table: Text,
}

/// One topic, through one processor, into tables.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    #[schemars(with = "String")]
    pub topic: Spanned<Text>,
    pub group: Text,
    #[schemars(with = "String")]
    pub module: Spanned<Text>,
    /// Which messages are read; all unless said.
    #[serde(default)]
    pub select: Option<Select>,
    /// What messages are checked against before the processor sees them.
    #[serde(default)]
    pub schema: Option<Schema>,
    /// Output of the processor → storages.
    #[schemars(with = "BTreeMap<String, Vec<String>>")]
    pub outputs: Spanned<BTreeMap<String, Vec<Spanned<Text>>>>,
    #[serde(default)]
    pub batch: Batch,
    /// Threads of the processor; one per core by default.
    #[serde(default)]
    pub workers: Option<Count>,
    /// Bytes of messages read and not processed yet.
    #[serde(default = "Size::read_ahead")]
    pub read_ahead: Size,
    /// Where a partition starts that the group has no position for.
    #[serde(default)]
    pub start: Start,
    /// How long giving up partitions, and stopping, may wait for what was read to be written.
    #[serde(default = "Duration::drain")]
    pub drain_timeout: Duration,
    #[serde(default)]
    pub commit_log: Option<CommitLog>,
    #[serde(default)]
    pub replacements: Option<Replacements>,
    #[schemars(with = "DeadLetters")]
    pub dead_letters: Spanned<DeadLetters>,
}

/// When a batch of rows is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Batch {
    /// Rows over all storages.
    pub rows: Count,
    /// RowBinary bytes over all storages, before compression.
    pub bytes: Size,
    /// Since the first message of the batch.
    pub time: Duration,
    /// Batches being written at a time.
    pub inserts_in_flight: Count,
}

/// Where a partition without a position starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    #[default]
    Earliest,
    Latest,
    /// Refuse to start: a position must be there.
    Error,
}

/// The topic that says how far everything is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitLog {
    #[schemars(with = "String")]
    pub topic: Spanned<Text>,
    /// The last record is repeated after this long without another.
    #[serde(default = "Duration::heartbeat")]
    pub heartbeat: Duration,
}

/// The topic for messages that change rows already written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replacements {
    pub topic: Text,
}

/// What happens to rejected messages.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLetters {
    #[serde(default)]
    pub topic: Option<Text>,
    /// By reason; `dead-letter` unless said otherwise.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, PolicyName>")]
    pub on: BTreeMap<Text, Spanned<PolicyName>>,
    #[serde(default)]
    pub limits: Limits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyName {
    /// To the dead-letter topic.
    DeadLetter,
    /// Dropped, and counted.
    Skip,
    /// The pipeline is held until somebody acts.
    Stop,
}

/// When rejected messages are too many: the pipeline is held.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Share of the messages of the last `window`, 0 to 1.
    pub ratio: Option<Ratio>,
    /// Messages over which the ratio is taken.
    pub window: Option<Count>,
    /// Messages in a row.
    pub consecutive: Option<Count>,
}

/// The HTTP port for health and numbers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// An address of the loopback, and a port; 0 takes any.
    #[schemars(with = "String")]
    pub listen: Spanned<Text>,
}

impl Config {
    /// Reads and checks a file. Nothing is contacted.
    ///
    /// # Errors
    /// Every problem with its line and the way out.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
        let mut config = Self::parse(&text).map_err(|problem| ConfigError::of(path, vec![problem]))?;
        config.resolve_paths(path.parent().unwrap_or(Path::new(".")));
        match check::problems(&config) {
            problems if problems.is_empty() => Ok(config),
            problems => Err(ConfigError::of(path, problems)),
        }
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        serde_saphyr::from_str(text).map_err(|error| Problem::of_parser(&error))
    }

    fn resolve_paths(&mut self, folder: &Path) {
        for module in self.modules.values_mut() {
            if let Some(path) = module.source.value.0.strip_prefix("file:") {
                module.source.value.0 = format!("file:{}", folder.join(path).display());
            }
        }
        for schema in self.pipelines.values_mut().filter_map(|pipeline| pipeline.schema.as_mut()) {
            schema.file.value.0 = folder.join(&schema.file.value.0).display().to_string();
        }
    }

    /// The JSON Schema of the file.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Config).into()
    }
}

impl Module {
    pub fn path(&self) -> PathBuf {
        self.source.value.0.strip_prefix("file:").unwrap_or(&self.source.value.0).into()
    }
}

impl From<InterruptionName> for Interruption {
    fn from(name: InterruptionName) -> Self {
        match name {
            InterruptionName::Epoch => Interruption::Epoch,
            InterruptionName::Off => Interruption::Off,
        }
    }
}

impl From<PolicyName> for Policy {
    fn from(name: PolicyName) -> Self {
        match name {
            PolicyName::DeadLetter => Policy::Publish,
            PolicyName::Skip => Policy::Skip,
            PolicyName::Stop => Policy::Stop,
        }
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self { rows: Count(50_000), bytes: Size(64 << 20), time: Duration::seconds(2), inserts_in_flight: Count(2) }
    }
}

impl Default for Admin {
    fn default() -> Self {
        let nowhere = serde_saphyr::Location::UNKNOWN;
        Self { listen: Spanned::new(Text("127.0.0.1:8650".into()), nowhere, nowhere) }
    }
}

fn empty_object() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

/// The reasons that `on` may name.
pub(crate) fn reason(name: &str) -> Option<Reason> {
    Reason::ALL.into_iter().find(|reason| reason.as_str() == name)
}
