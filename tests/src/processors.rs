//! The processors of the repository as their folders hold them: built modules, tables, and fixtures to run through them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tidegate::message::{MessageBatch, Parts};
use tidegate::offset::{Assignment, Partition};
use tidegate::processor::{Engine, InstanceConfig, Isolation, Limits, Module};

use crate::servers;

/// A folder of `processors/`.
#[derive(Clone, Debug)]
pub struct Processor {
    pub name: String,
    pub(crate) folder: PathBuf,
}

/// A message and what must come of it; `tidegate_processor::testkit::check_fixtures` says how the files are written.
#[derive(Clone, Debug)]
pub struct Fixture {
    pub name: String,
    pub payload: Vec<u8>,
    pub given: Given,
    /// `NAME.expected.json`.
    pub expected: Value,
}

/// How messages are given: as the test kit does, unless the fixture says something else.
#[derive(Clone, Debug)]
pub struct Given {
    /// The processor's settings, JSON.
    pub params: String,
    /// The clock, milliseconds since 1970.
    pub now_ms: i64,
    pub timestamp_ms: i64,
    pub key: Option<String>,
    pub headers: Vec<(String, String)>,
}

/// All of them, in the order of their names. What is no component is a library of theirs.
pub fn all() -> Vec<Processor> {
    let is_component = |folder: &PathBuf| text(&folder.join("Cargo.toml")).contains("cdylib");
    let folders = files(&repository().join("processors")).into_iter().filter(is_component);
    let found: Vec<_> = folders.map(|folder| Processor { name: name(&folder), folder }).collect();
    assert!(!found.is_empty(), "no processor was found");
    found
}

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests have a folder of their own")
}

impl Processor {
    pub fn module(&self, engine: &Engine) -> Module {
        let cache = tidegate::start::cache_folder().join("modules");
        Module::load(engine, &servers::module(&self.name), &cache).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The statements that make its tables; empty if it has none.
    pub fn schema(&self) -> String {
        let file = self.folder.join("schema.sql");
        if file.exists() { text(&file) } else { String::new() }
    }

    pub fn fixtures(&self) -> Vec<Fixture> {
        let folder = self.folder.join("fixtures");
        let files = files(&folder);
        let fixture = |file: &PathBuf| {
            let name = name(file).strip_suffix(".expected.json")?.to_owned();
            let message = files.iter().find(|other| *other != file && other.file_stem() == Some(name.as_ref()));
            let message = message.unwrap_or_else(|| panic!("no message {name}.* in {}", folder.display()));
            let expected: Value = serde_json::from_str(&text(file)).unwrap_or_else(|error| panic!("{name}: {error}"));
            Some(Fixture { name, payload: bytes(message), given: Given::of(&expected["given"]), expected })
        };
        files.iter().filter_map(fixture).collect()
    }
}

impl Fixture {
    pub fn batch(&self) -> MessageBatch {
        self.given.batch(&[&self.payload])
    }
}

impl Given {
    fn of(given: &Value) -> Self {
        let usual = Self::default();
        let texts = |(name, value): (&String, &Value)| (name.clone(), value.as_str().unwrap_or_default().to_owned());
        Self {
            params: given.get("params").map_or(usual.params, Value::to_string),
            now_ms: given["now_ms"].as_i64().unwrap_or(usual.now_ms),
            timestamp_ms: given["timestamp_ms"].as_i64().unwrap_or(usual.timestamp_ms),
            key: given["key"].as_str().map(str::to_owned),
            headers: given["headers"].as_object().into_iter().flatten().map(texts).collect(),
        }
    }

    /// A processor that is given messages like this one.
    pub fn isolation(&self, module: &Module) -> Isolation {
        let config = InstanceConfig {
            params: self.params.clone(),
            topics: vec![TOPIC.into()],
            limits: Limits::default(),
            layouts: module.layouts().to_vec(),
        };
        Isolation::new(module.clone(), config).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Messages with these payloads, from offset 1 of partition 0.
    pub fn batch<P: AsRef<[u8]>>(&self, payloads: &[P]) -> MessageBatch {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let mut batch = MessageBatch::default();
        batch.begin_run(Partition::new(TOPIC, 0), Assignment(1), 1);
        for (offset, payload) in (1..).zip(payloads) {
            batch.push(Parts {
                offset,
                timestamp_ms: self.timestamp_ms,
                key: self.key.as_deref().map(str::as_bytes),
                payload: Some(payload.as_ref()),
                headers: &headers,
            });
        }
        batch
    }
}

impl Default for Given {
    fn default() -> Self {
        let now_ms = 1_700_000_000_000;
        Self { params: "{}".into(), now_ms, timestamp_ms: now_ms, key: None, headers: Vec::new() }
    }
}

/// Every file and folder in `folder`, in the order of their names.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn text(file: &Path) -> String {
    String::from_utf8(bytes(file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn bytes(file: &Path) -> Vec<u8> {
    fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Where the test kit's messages come from.
const TOPIC: &str = "test";
