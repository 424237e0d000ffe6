//! Where modules come from, and how to get them: files, folders, HTTP servers, OCI registries. Nothing is compiled here.
//!
//! What was fetched is known by its [`Digest`] and kept in a store, so that it can be loaded again when the place it came
//! from is down, or has something else by now.

mod error;
mod folder;
mod http;
mod parse;
mod registry;
mod store;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use oci_client::Reference;
use reqwest::Url;

pub use error::FetchError;
pub use folder::Stamp;
pub(crate) use http::use_ring;
use store::{Kind, Store};

use crate::digest::Digest;
use crate::error::{Backoff, Remedy};
use crate::secret::Secret;

/// A place that has a module, and which module that must be.
///
/// As text: `file:PATH`, `dir:PATH`, `http://…`, `https://…`, `oci://HOST/REPOSITORY:TAG` or
/// `oci://HOST/REPOSITORY@sha256:…`. A text that ends in `#sha256:…` is pinned: it means the component with this digest
/// and no other. (`@` is the digest of an image's manifest, `#` that of the component.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleSource {
    place: Place,
    pin: Option<Digest>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    File(PathBuf),
    /// The file with the highest version in its name.
    Directory(PathBuf),
    Http(Url),
    Oci(Reference),
}

/// A component, to be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    pub wasm: Bytes,
    pub digest: Digest,
    /// Where it was found, pinned: the text of a source that gives the same bytes again.
    pub origin: String,
}

/// How modules are fetched.
#[derive(Clone, Debug)]
pub struct FetchSettings {
    /// Where what was fetched is kept.
    pub store: PathBuf,
    /// Sent to HTTP servers and registries.
    pub auth: Option<Auth>,
    /// Has the passwords of registries where `auth` has none: `config.json` as `docker login` writes it.
    pub docker_config: Option<PathBuf>,
    /// Registries are spoken to in the clear even if they are not on this machine.
    pub insecure: bool,
    /// Of a component.
    pub bytes_max: u64,
    /// Of one try.
    pub timeout: Duration,
    /// How often a place is asked that is down; what is wrong is tried once.
    pub tries: u32,
    /// Pauses between the tries.
    pub pauses: Backoff,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    Basic { user: String, password: Secret },
    Bearer(Secret),
}

impl ModuleSource {
    /// Reads a source; a relative path starts at `folder`.
    ///
    /// # Errors
    /// What is wrong, and after `; ` the way out.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let mut source = parse::source(text)?;
        source.start_at(folder);
        Ok(source)
    }

    /// Stands for a source that could not be read.
    pub(crate) fn nowhere() -> Self {
        Self { place: Place::Directory(PathBuf::new()), pin: None }
    }

    /// Gives a relative path its start.
    pub fn start_at(&mut self, folder: &Path) {
        if let Place::File(path) | Place::Directory(path) = &mut self.place {
            *path = folder.join(&path);
        }
    }

    /// The digest that the component must have, if the source is pinned.
    pub fn pin(&self) -> Option<Digest> {
        self.pin
    }

    /// Means the component with this digest only; none if it meant another one already.
    pub fn pinned(self, digest: Digest) -> Option<Self> {
        let pin = self.pin.filter(|pin| *pin != digest);
        pin.is_none().then_some(Self { pin: Some(digest), ..self })
    }

    /// Whether what is secret to one may be told to the other.
    pub fn is_at_the_same_server(&self, other: &Self) -> bool {
        match (&self.place, &other.place) {
            (Place::Http(one), Place::Http(other)) => one.origin() == other.origin(),
            (Place::Oci(one), Place::Oci(other)) => one.registry() == other.registry(),
            _ => false,
        }
    }

    /// What can be said against it without asking anybody else: a path that is not there, unless it is pinned and so may
    /// be in the store.
    pub fn missing(&self) -> Option<String> {
        match &self.place {
            _ if self.pin.is_some() => None,
            Place::File(path) if !path.is_file() => Some(format!("{}, which is no file", path.display())),
            Place::Directory(path) if !path.is_dir() => Some(format!("{}, which is no folder", path.display())),
            _ => None,
        }
    }

    /// Whether everybody on the way can read what is sent to it, passwords too. (A registry is spoken to so only where
    /// [`insecure`](FetchSettings::insecure) asks for it.)
    pub fn is_in_the_clear(&self) -> bool {
        matches!(&self.place, Place::Http(url)
            if url.scheme() == "http" && !http::is_loopback(url.host_str().unwrap_or_default()))
    }

    /// Gets the component: from the store if it is pinned and there, else from its place. What was fetched is kept.
    ///
    /// A place that is down is asked again, [`tries`](FetchSettings::tries) times in all.
    ///
    /// # Errors
    /// See [`FetchError`]; [`FetchError::remedy`] says whether it may heal by itself.
    pub async fn fetch(&self, settings: &FetchSettings) -> Result<Fetched, FetchError> {
        let store = Store::new(&settings.store);
        if let Some(digest) = self.pin
            && let Some(wasm) = store.get(digest, Kind::Component).await
        {
            return Ok(Fetched { wasm, digest, origin: self.to_string() });
        }
        let (wasm, place) = self.retried(settings, &store).await?;
        let digest = Digest::of(&wasm);
        if let Some(expected) = self.pin.filter(|expected| *expected != digest) {
            let (expected, found) = (expected.to_string(), digest.to_string());
            return Err(FetchError::Digest { from: self.to_string(), expected, found });
        }
        store.keep(wasm.clone(), Kind::Component).await;
        Ok(Fetched { wasm, digest, origin: Self { place, pin: Some(digest) }.to_string() })
    }

    /// Tries until it is there, or wrong: the bytes, and the place as precisely as it is known by then.
    async fn retried(&self, settings: &FetchSettings, store: &Store) -> Result<(Bytes, Place), FetchError> {
        let (mut pauses, mut left) = (settings.pauses, settings.tries);
        loop {
            left = left.saturating_sub(1);
            let late = |_| Err(FetchError::Timeout { from: self.to_string(), timeout: settings.timeout });
            let tried = tokio::time::timeout(settings.timeout, self.once(settings, store)).await.unwrap_or_else(late);
            match tried {
                Err(error) if error.remedy() == Remedy::Retry && left > 0 => {
                    tracing::warn!(source = %self, %error, "module not fetched, trying again");
                    tokio::time::sleep(pauses.pause()).await;
                }
                done => return done,
            }
        }
    }

    async fn once(&self, settings: &FetchSettings, store: &Store) -> Result<(Bytes, Place), FetchError> {
        match &self.place {
            Place::File(path) => folder::read(path.clone(), settings.bytes_max).await,
            Place::Directory(path) => folder::newest(path.clone(), settings.bytes_max).await,
            Place::Http(url) => Ok((http::get(url, settings).await?, self.place.clone())),
            Place::Oci(reference) => {
                let (wasm, reference) = registry::pull(reference, settings, store).await?;
                Ok((wasm, Place::Oci(reference)))
            }
        }
    }

    /// Changes when the module in a file or a folder may have changed; cheap enough to be asked every second. None for
    /// what does not change (pinned) and for what is not watched (servers).
    pub fn stamp(&self) -> Option<Stamp> {
        match &self.place {
            _ if self.pin.is_some() => None,
            Place::File(path) => Some(Stamp::of_file(path)),
            Place::Directory(path) => Some(Stamp::of_folder(path)),
            Place::Http(_) | Place::Oci(_) => None,
        }
    }
}

impl FetchSettings {
    /// Limits as they are without a reason for others: 32 MiB as the sandbox has it, 60 s a try, 3 tries.
    pub fn new(store: PathBuf) -> Self {
        Self {
            store,
            auth: None,
            docker_config: registry::docker_config(),
            insecure: false,
            bytes_max: 32 << 20,
            timeout: Duration::from_secs(60),
            tries: 3,
            pauses: Backoff::new(Duration::from_millis(300), Duration::from_secs(5)),
        }
    }
}

impl fmt::Display for ModuleSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File(path) => write!(f, "file:{}", path.display())?,
            Place::Directory(path) => write!(f, "dir:{}", path.display())?,
            Place::Http(url) => write!(f, "{url}")?,
            Place::Oci(reference) => write!(f, "oci://{reference}")?,
        }
        self.pin.map_or(Ok(()), |pin| write!(f, "#{pin}"))
    }
}

/// Work beside the runtime's threads: files, and compiling, which takes a second of CPU.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is ending, and whoever waits ends with it.
            Err(_) => std::future::pending().await,
        },
    }
}
