//! What must survive a restart: which module a pipeline should run, which it ran, and what became of each change.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::clock::now_ms;
use crate::module_source::blocking;
use crate::outcome::ModuleName;

/// What a pipeline should run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// `file:/path`, `oci://…`, as a configuration says it.
    pub source: String,
    /// SHA-256 of the component, hexadecimal: what the source must give.
    pub digest: String,
    /// Changes are refused until it is unpinned.
    pub pinned: bool,
    pub because: Because,
    /// Tells two wishes apart.
    pub id: String,
    /// Unix milliseconds.
    pub at_ms: i64,
}

/// What a change came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Because {
    /// It is in the configuration.
    Configured,
    /// Somebody asked for it.
    Load,
    /// Somebody asked for the one before.
    Rollback,
    /// The breaker did.
    Breaker,
    /// A watched source changed.
    Watch,
}

/// A change and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub at_ms: i64,
    pub because: Because,
    pub source: String,
    pub digest: String,
    /// Name and version; unknown where the module could not be compiled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Why it was refused; none: it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// From the end of the last call of the module before to the end of the first call of this one, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_us: Option<u64>,
}

/// The file of one pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The source in the configuration when this was written: a configuration that changed since wins.
    pub configured: String,
    pub desired: Option<Desired>,
    /// Oldest first.
    pub history: Vec<Entry>,
}

/// Where the files are.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// Older changes are forgotten.
const HISTORY_MAX: usize = 100;

impl State {
    pub fn remember(&mut self, entry: Entry) {
        self.history.push(entry);
        let old = self.history.len().saturating_sub(HISTORY_MAX);
        self.history.drain(..old);
    }

    /// The modules that ran, latest first.
    pub fn ran(&self) -> impl Iterator<Item = &Entry> {
        self.history.iter().rev().filter(|entry| entry.refused.is_none())
    }
}

impl Folder {
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// What was kept of a pipeline. What cannot be read is told and begun anew.
    pub fn read(&self, pipeline: &str) -> State {
        let file = self.file(pipeline);
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return State::default(),
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "module state not read, the configuration's module is run");
                return State::default();
            }
        };
        serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!(file = %file.display(), %error, "module state is not readable, the configuration's module is run");
            State::default()
        })
    }

    /// Written beside and renamed, so that nobody reads half a file. A disk may take hundreds of milliseconds for it.
    pub async fn write(&self, pipeline: &str, state: &State) {
        let (file, state) = (self.file(pipeline), state.clone());
        blocking(move || {
            if let Err(error) = replace(&file, &state) {
                tracing::warn!(file = %file.display(), %error, "module state not kept, a restart forgets the change");
            }
        })
        .await;
    }

    fn file(&self, pipeline: &str) -> PathBuf {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let name =
            pipeline.bytes().map(|byte| if plain(byte) { char::from(byte).into() } else { format!("%{byte:02x}") });
        self.0.join(format!("{}.json", name.collect::<String>()))
    }
}

fn replace(file: &Path, state: &State) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let partial = file.with_extension(format!("{}.partial", std::process::id()));
    let mut writing = fs::File::create(&partial)?;
    writing.write_all(&serde_json::to_vec_pretty(state)?)?;
    writing.sync_all()?;
    fs::rename(partial, file)
}

impl Desired {
    pub fn new(source: &str, digest: &str, because: Because) -> Self {
        let at_ms = now_ms();
        let id = format!("{at_ms:x}-{:x}-{:x}", std::process::id(), next());
        Self { source: source.to_owned(), digest: digest.to_owned(), pinned: false, because, id, at_ms }
    }
}

impl Entry {
    /// Of a change that is carried out now.
    pub fn of(desired: &Desired, module: Option<&ModuleName>, refused: Option<String>) -> Self {
        let module = module.map(ModuleName::titled);
        let Desired { because, source, digest, .. } = desired.clone();
        Self { at_ms: now_ms(), because, source, digest, module, refused, gap_us: None }
    }
}

fn next() -> u64 {
    static LAST: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    LAST.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}
