//! Modules in the configuration: where they come from, what they may use, and when they are too bad to go on.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::scalar::nowhere;
use super::{Auth, Count, Duration, Ratio, Size, Text};
use crate::control::breaker;
use crate::module_source::ModuleSource;
use crate::processor::Interruption;

/// A processor and what it may use.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// `file:PATH`, `dir:PATH`, `https://…` or `oci://HOST/REPOSITORY:TAG`, which may end in `#sha256:…`; a relative path
    /// starts at the configuration file.
    #[schemars(with = "String")]
    pub source: Spanned<ModuleSource>,
    /// Who asks the server or the registry.
    #[serde(default)]
    #[schemars(with = "Option<Auth>")]
    pub auth: Option<Spanned<Auth>>,
    /// Whether what is sent over the network may be read there: plain HTTP to a registry elsewhere, a secret over plain
    /// HTTP.
    #[serde(default)]
    pub insecure: bool,
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
    /// Heap and stacks of the process that compiles it.
    #[serde(default = "Size::compile")]
    pub compile_memory: Size,
    /// How long compiling it may take.
    #[serde(default = "Duration::compile")]
    pub compile_time: Duration,
    /// Whether a file or folder that changes is loaded while the pipeline runs.
    #[serde(default = "yes")]
    pub watch: bool,
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

/// When a module is rolled back, or its pipeline paused.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Breaker {
    pub enabled: bool,
    /// Share of messages that may trap, run out of time or memory, or get an answer that makes no sense: 0 to 1.
    pub failures: Ratio,
    /// Share of messages that may be rejected after a switch: 0 to 1.
    pub rejections: Ratio,
    /// Fewer messages than these decide nothing.
    pub messages: Count,
    /// Over which the shares are taken.
    #[schemars(with = "Duration")]
    pub window: Spanned<Duration>,
    /// How long after a switch the module before is the way out; later, the pipeline is paused.
    pub probation: Duration,
}

/// The topic in which processes agree on modules.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Compacted; made if it is not there.
    #[schemars(with = "String")]
    pub topic: Spanned<Text>,
}

impl From<InterruptionName> for Interruption {
    fn from(name: InterruptionName) -> Self {
        match name {
            InterruptionName::Epoch => Interruption::Epoch,
            InterruptionName::Off => Interruption::Off,
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        let limits = breaker::Limits::default();
        Self {
            enabled: true,
            failures: Ratio(limits.failures_max),
            rejections: Ratio(limits.rejections_max),
            messages: Count(limits.messages_min),
            window: nowhere(Duration(limits.window)),
            probation: Duration(limits.probation),
        }
    }
}

impl Breaker {
    /// None: off.
    pub fn limits(&self) -> Option<breaker::Limits> {
        self.enabled.then_some(breaker::Limits {
            failures_max: self.failures.0,
            rejections_max: self.rejections.0,
            messages_min: self.messages.0,
            window: self.window.value.0,
            probation: self.probation.0,
        })
    }
}

fn yes() -> bool {
    true
}

fn empty_object() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}
