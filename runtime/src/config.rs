//! The configuration: one YAML file, strict. What is read here is plain data; nothing of the pipeline names it.
//! `docs/configuration.md` explains every key.

mod check;
mod cluster;
mod error;
mod fetch;
mod intake;
mod kafka;
mod modules;
mod reference;
mod scalar;
mod slice;
mod topics;

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

pub use cluster::{Cluster, Tls};
pub use error::{ConfigError, Problem};
pub use fetch::Auth;
pub use intake::{Schema, Select, Values};
pub use kafka::Kafka;
pub use modules::{Breaker, Control, InterruptionName, Module};
pub use reference::{Property, Reference};
pub use scalar::{Count, Duration, Profile, Ratio, Size, Text};
pub use slice::Slice;

use crate::accumulate;
use crate::dead_letter::Policy;
use crate::outcome::Reason;

/// A tidegate configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Version of this format: 1.
    #[schemars(with = "Count")]
    pub version: Option<Spanned<Count>>,
    pub kafka: Kafka,
    /// ClickHouse clusters by name.
    pub clickhouse: BTreeMap<String, Cluster>,
    /// Processors by name.
    pub modules: BTreeMap<String, Module>,
    /// Tables by name.
    pub storages: BTreeMap<String, Storage>,
    /// What runs, by name.
    #[schemars(with = "BTreeMap<String, Pipeline>")]
    pub pipelines: Spanned<BTreeMap<String, Pipeline>>,
    #[serde(default)]
    pub admin: Admin,
    /// How the processes of a group agree on their modules; each decides for itself without it.
    #[serde(default)]
    pub control: Option<Control>,
    /// Folder for what must survive a restart: which module each pipeline runs. The user's state folder by default.
    #[serde(default)]
    pub state: Option<Text>,
}

/// A table.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    #[schemars(with = "String")]
    pub cluster: Spanned<Text>,
    pub table: Text,
    /// What readers may rely on: the settings of this profile go with each insert (docs/client.md).
    #[serde(default = "eventual")]
    #[schemars(with = "Profile")]
    pub consistency: Spanned<Profile>,
    /// How long one rewrite of its rows may take.
    #[serde(default = "Duration::rewrite")]
    pub rewrite_timeout: Duration,
    /// What it takes in one batch, besides the limits of the pipeline.
    #[serde(default)]
    pub batch: StorageBatch,
}

/// When a batch is written because of one storage.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StorageBatch {
    pub rows: Option<Count>,
    /// RowBinary bytes, before compression.
    pub bytes: Option<Size>,
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
    #[schemars(with = "Option<Select>")]
    pub select: Option<Spanned<Select>>,
    /// Which part of a stream this is, if it is cut; `{slice}` in names stands for its id.
    #[serde(default)]
    #[schemars(with = "Option<Slice>")]
    pub slice: Option<Spanned<Slice>>,
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
    #[serde(default = "Reset::earliest")]
    pub start: Reset,
    /// Where reading goes on when a position is not in the topic any more.
    #[serde(default = "Reset::error")]
    pub out_of_range: Reset,
    /// How long giving up partitions, and stopping, may wait for what was read to be written.
    #[serde(default = "Duration::drain")]
    pub drain_timeout: Duration,
    /// When a module does too much harm to go on.
    #[serde(default)]
    pub breaker: Breaker,
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

/// Where to read when there is no position to read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reset {
    Earliest,
    Latest,
    /// Nowhere: the pipeline stops, and somebody has to decide.
    Error,
}

/// The topic that says how far everything is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitLog {
    #[schemars(with = "String")]
    pub topic: Spanned<Text>,
    /// By which followers know the pipeline: its group unless said. Pipelines that share a group need different ones.
    #[serde(default)]
    pub group: Option<Text>,
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
    /// An address and a port; 0 takes any. One that others can reach needs a token.
    #[schemars(with = "String")]
    pub listen: Spanned<Text>,
    /// Bearer token for `/status` and `/metrics`, by reference; `/livez` and `/readyz` are open.
    #[schemars(with = "Option<Reference>")]
    pub token: Option<Spanned<Reference>>,
}

impl Config {
    /// Reads and checks a file and its secrets. Nothing is contacted.
    ///
    /// # Errors
    /// Every problem with its line and the way out.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        match Self::read_where_secrets_may_be_missing(path)? {
            (config, None) => Ok(config),
            (_, Some(missing)) => Err(missing),
        }
    }

    /// Reads and checks a file where it does not run; the secrets and certificates that are not there come with it.
    ///
    /// # Errors
    /// Every other problem with its line and the way out.
    pub fn read_where_secrets_may_be_missing(path: &Path) -> Result<(Self, Option<ConfigError>), ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
        let (mut config, mut problems) = Self::parse(&text).map_err(|problems| ConfigError::of(path, problems))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        config.resolve_paths(folder);
        let of_slices = slice::resolve(&mut config);
        add_others(&mut problems, of_slices);
        add_others(&mut problems, check::problems(&config));
        if !problems.is_empty() {
            return Err(ConfigError::of(path, problems));
        }
        let mut missing = config.read_secrets(folder);
        missing.extend(config.kafka.missing_files());
        missing.extend(config.clickhouse.values_mut().filter_map(Cluster::read_files));
        Ok((config, (!missing.is_empty()).then(|| ConfigError::of(path, missing))))
    }

    fn read_secrets(&mut self, folder: &Path) -> Vec<Problem> {
        let passwords = self.clickhouse.values_mut().filter_map(|cluster| cluster.password.as_mut());
        let of_modules = self.modules.values_mut().filter_map(|module| module.auth.as_mut());
        let passwords = passwords.chain(of_modules.filter_map(|auth| auth.value.secret()));
        let passwords = passwords.chain(&mut self.admin.token).map(|secret| (secret.referenced, &mut secret.value));
        let properties = self.kafka.properties.values_mut().filter_map(|property| match &mut property.value {
            Property::Secret(reference) => Some((property.referenced, reference)),
            Property::Literal(_) => None,
        });
        let missing = |(at, secret): (_, &mut Reference)| {
            let (text, hint) = secret.read(folder).err()?;
            Some(Problem::new(at, text, Some(hint.into())))
        };
        let mut problems: Vec<_> = passwords.chain(properties).filter_map(missing).collect();
        if let Some(token) = self.admin.token.as_ref().filter(|token| token.value.is_read_and_empty()) {
            problems.push(Problem::new(
                token.referenced,
                "the token of admin is empty".into(),
                Some("anybody has that".into()),
            ));
        }
        problems
    }

    /// With the values that could not be read; others stand in their places.
    fn parse(text: &str) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        scalar::begin();
        let parsed = serde_saphyr::from_str(text);
        let mut problems: Vec<Problem> =
            scalar::problems().into_iter().map(|(at, text)| Problem::of_value(at, &text)).collect();
        match parsed {
            Ok(config) => Ok((config, problems)),
            Err(error) => {
                problems.push(Problem::of_parser(&error));
                Err(problems)
            }
        }
    }

    /// Names of the pipelines, by what reads for them: those of one group on one topic share a reader.
    pub fn readers(&self) -> Vec<Vec<&str>> {
        let mut readers: Vec<Vec<&str>> = Vec::new();
        for (name, pipeline) in &self.pipelines.value {
            let shares = |with: &Vec<&str>| self.pipelines.value[with[0]].reads_as(pipeline);
            match readers.iter_mut().find(|reader| shares(reader)) {
                Some(reader) => reader.push(name),
                None => readers.push(vec![name]),
            }
        }
        readers
    }

    /// When a batch of the pipeline is full.
    pub fn batch_limits(&self, pipeline: &Pipeline) -> accumulate::Limits {
        let limited = |name: &Spanned<Text>| {
            let StorageBatch { rows, bytes } = &self.storages.get(&name.value.0)?.batch;
            let (rows, bytes) = (rows.map(|rows| rows.0), bytes.map(|bytes| bytes.0));
            rows.or(bytes)?;
            let rows_max = rows.unwrap_or(pipeline.batch.rows.0);
            let bytes_max = bytes.unwrap_or(pipeline.batch.bytes.0);
            Some((name.value.0.clone(), accumulate::StorageLimits { rows_max, bytes_max }))
        };
        accumulate::Limits {
            rows_max: pipeline.batch.rows.0,
            bytes_max: pipeline.batch.bytes.0,
            time_max: pipeline.batch.time.0,
            storages: pipeline.outputs.value.values().flatten().filter_map(limited).collect(),
        }
    }

    fn resolve_paths(&mut self, folder: &Path) {
        self.kafka.resolve_paths(folder);
        self.clickhouse.values_mut().for_each(|cluster| cluster.resolve_paths(folder));
        for module in self.modules.values_mut() {
            module.source.value.start_at(folder);
        }
        for schema in self.pipelines.value.values_mut().filter_map(|pipeline| pipeline.schema.as_mut()) {
            schema.file.value.0 = folder.join(&schema.file.value.0).display().to_string();
        }
    }

    /// The JSON Schema of the file.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Config).into()
    }
}

fn eventual() -> Spanned<Profile> {
    scalar::nowhere(Profile::default())
}

/// What stands for a value that could not be read says nothing of its own.
fn add_others(problems: &mut Vec<Problem>, further: Vec<Problem>) {
    let others = further.into_iter().filter(|problem| !problems.iter().any(|known| known.is_beside(problem)));
    let others: Vec<_> = others.collect();
    problems.extend(others);
}

impl Reset {
    fn earliest() -> Self {
        Self::Earliest
    }

    fn error() -> Self {
        Self::Error
    }
}

impl From<Reset> for crate::kafka::Reset {
    fn from(reset: Reset) -> Self {
        match reset {
            Reset::Earliest => Self::Earliest,
            Reset::Latest => Self::Latest,
            Reset::Error => Self::Error,
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
        Self { listen: scalar::nowhere(Text("127.0.0.1:8650".into())), token: None }
    }
}

/// The reasons that `on` may name.
pub(crate) fn reason(name: &str) -> Option<Reason> {
    Reason::ALL.into_iter().find(|reason| reason.as_str() == name)
}
