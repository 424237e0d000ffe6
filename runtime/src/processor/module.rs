//! A module: a component file, compiled once and kept on disk, and what it says of itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_rows::Layout;
use wasmtime::component::{Component, HasSelf, Linker};

use super::contract::{self, MessageProcessorPre};
use super::engine::Engine;
use super::instance::{self, State, Undescribed};
use super::voice::Voice;
use super::watch::GivenUp;
use super::{Manifest, Output, RowFormat, Wants, bounds, compiler};
use crate::digest::Digest;
use crate::outcome::ModuleName;
use crate::whole_file;

/// A compiled processor, ready to be instantiated any number of times.
#[derive(Clone)]
pub struct Module {
    pub(super) engine: Engine,
    pub(super) pre: MessageProcessorPre<State>,
    manifest: Arc<Manifest>,
    layouts: Arc<[Layout]>,
    name: Arc<ModuleName>,
    pub(super) voice: Arc<Voice>,
    pub(super) given_up: GivenUp,
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Module").field(&self.name).finish()
    }
}

/// Why a module cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("failed to read module {}: {error}", path.display())]
    Read { path: PathBuf, error: std::io::Error },
    #[error("failed to compile module {origin}: {error}")]
    Compile { origin: String, error: String },
    #[error("module {origin} does not speak the contract tidegate:processor@0.1: {error}")]
    Contract { origin: String, error: String },
    #[error("module {origin} failed to describe itself: {error}")]
    Describe { origin: String, error: String },
    #[error("the manifest of module {origin} is not usable: {error}")]
    Manifest { origin: String, error: String },
    #[error("processor {name:?} refused its configuration: {error}")]
    Init { name: String, error: String },
}

impl Module {
    /// Compiles the component at `path`; see [`compile`](Self::compile).
    ///
    /// # Errors
    /// See [`LoadError`]; each names the file.
    pub fn load(engine: &Engine, path: &Path, cache: &Path) -> Result<Self, LoadError> {
        let wasm = bounds::read(path).map_err(|error| LoadError::Read { path: path.into(), error })?;
        Self::compile(engine, &wasm, &path.display().to_string(), cache)
    }

    /// Compiles a component, or takes the compiled code from `cache`, and asks it what it is. `origin` says where it came
    /// from, for errors.
    ///
    /// The cache may be shared by processes; it must be writable by nobody else, because code found there is run.
    ///
    /// # Errors
    /// See [`LoadError`]; each names the origin.
    pub fn compile(engine: &Engine, wasm: &[u8], origin: &str, cache: &Path) -> Result<Self, LoadError> {
        let origin = || origin.to_owned();
        let digest = Digest::of(wasm);
        let component =
            compiled(engine, wasm, digest, cache).map_err(|error| LoadError::Compile { origin: origin(), error })?;
        let pre = link(engine, &component)
            .map_err(|error| LoadError::Contract { origin: origin(), error: format!("{error:#}") })?;
        let voice = Arc::new(Voice::new());
        let manifest = instance::describe(engine, &pre, voice.clone()).map_err(|error| match error {
            Undescribed::Foreign(error) => LoadError::Contract { origin: origin(), error },
            Undescribed::Failed(failure) => LoadError::Describe { origin: origin(), error: failure.to_string() },
        })?;
        let (manifest, layouts) =
            understand(manifest).map_err(|error| LoadError::Manifest { origin: origin(), error })?;
        let name = ModuleName { name: manifest.name.clone(), version: manifest.version.clone(), digest };
        Ok(Self {
            engine: engine.clone(),
            pre,
            manifest: Arc::new(manifest),
            layouts: layouts.into(),
            name: Arc::new(name),
            voice,
            given_up: GivenUp::default(),
        })
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub fn name(&self) -> &Arc<ModuleName> {
        &self.name
    }

    /// Whom to tell, once, that no calls are made because too many do not return (`interruption: off`), and that they
    /// are made again.
    pub fn on_hold(&self, hold: impl Fn(Option<&str>) + Send + Sync + 'static) {
        self.given_up.on_hold(Box::new(hold));
    }

    /// The types of its columns as the module declares them, an entry per output.
    pub fn layouts(&self) -> &[Layout] {
        &self.layouts
    }
}

fn compiled(engine: &Engine, wasm: &[u8], digest: Digest, cache: &Path) -> Result<Component, String> {
    let file = code_file(engine, digest, cache);
    if let Some(component) = cached(engine, &file) {
        return Ok(component);
    }
    bounds::check_code(wasm)?;
    compiler::one_at_a_time(|| {
        // Another pipeline has waited for the same.
        if let Some(component) = cached(engine, &file) {
            return Ok(component);
        }
        let code = engine.compile(wasm)?;
        // SAFETY: the bytes come from the compiler of this very program.
        let component = unsafe { Component::deserialize(engine.wasmtime(), &code) };
        let component = component.map_err(|error| format!("{error:#}"))?;
        if let Err(error) = whole_file::write(&file, &code) {
            tracing::warn!(file = %file.display(), %error, "compiled module not cached, the next start compiles again");
        }
        Ok(component)
    })
}

fn cached(engine: &Engine, file: &Path) -> Option<Component> {
    if !file.exists() {
        return None;
    }
    // SAFETY: the file is one that `compiled` wrote; a file of another version or another engine is refused.
    unsafe { Component::deserialize_file(engine.wasmtime(), file) }.ok()
}

/// Where the compiled code of a module is kept.
pub(super) fn code_file(engine: &Engine, digest: Digest, cache: &Path) -> PathBuf {
    cache.join(format!("{}-{}.cwasm", digest.hex(), compatibility(engine)))
}

/// Names the compiler's version, its settings and the CPU: code of another one is another file.
fn compatibility(engine: &Engine) -> String {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::hash::DefaultHasher::new();
    engine.wasmtime().precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Imports of WASI, and of anything else that the host does not have, become traps: a guest may carry them unused.
fn link(engine: &Engine, component: &Component) -> wasmtime::Result<MessageProcessorPre<State>> {
    let mut linker = Linker::new(engine.wasmtime());
    contract::MessageProcessor::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut State| state)?;
    linker.define_unknown_imports_as_traps(component)?;
    MessageProcessorPre::new(linker.instantiate_pre(component)?)
}

fn understand(told: contract::Manifest) -> Result<(Manifest, Vec<Layout>), String> {
    bounds::check_manifest(&told)?;
    let mut layouts = Vec::new();
    let mut outputs: Vec<Output> = Vec::new();
    for output in told.outputs {
        let name = output.name;
        let format = match output.format {
            contract::RowFormat::RowBinary => RowFormat::RowBinary,
            contract::RowFormat::JsonEachRow => RowFormat::JsonEachRow,
        };
        if outputs.iter().any(|other| other.name == name) {
            return Err(format!("output {name:?} is declared twice"));
        }
        let columns: Vec<_> = output.columns.into_iter().map(|c| (c.name, c.clickhouse_type)).collect();
        let layout = Layout::parse(columns.iter().map(|(name, kind)| (name.clone(), kind)))
            .map_err(|error| format!("output {name:?}: {error}"))?;
        layouts.push(layout);
        outputs.push(Output { name, format, columns });
    }
    let wants = Wants {
        keys: told.wants.contains(contract::Wants::KEYS),
        headers: told.wants.contains(contract::Wants::HEADERS),
        offsets: told.wants.contains(contract::Wants::OFFSETS),
        timestamps: told.wants.contains(contract::Wants::TIMESTAMPS),
    };
    let manifest = Manifest { name: told.name, version: told.version, outputs, wants, self_test: told.self_test };
    Ok((manifest, layouts))
}
