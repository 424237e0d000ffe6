//! Why a module could not be fetched, and whether trying again may help.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::Remedy;

/// Each names the place, `from`: the text of the source, or of the part of it that is meant.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("failed to read {}: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("folder {} has no module\n\nhint: put NAME-VERSION.wasm into it", folder.display())]
    EmptyFolder { folder: PathBuf },
    #[error(
        "folder {} does not say which module is meant: it has {}\n\nhint: name all of them NAME-VERSION.wasm with one \
         NAME, as in errors-1.4.0.wasm; the highest version is taken",
        folder.display(), candidates.join(", ")
    )]
    Ambiguous { folder: PathBuf, candidates: Vec<String> },
    #[error("the module at {from} is larger than {bytes_max} bytes")]
    TooLarge { from: String, bytes_max: u64 },
    #[error(
        "the module at {from} has digest {found} instead of {expected}; it is not used\n\nhint: somebody changed what is \
         there; if it is the one you want, pin its digest"
    )]
    Digest { from: String, expected: String, found: String },
    #[error("failed to connect to {from}: {cause}")]
    Connect { from: String, cause: String },
    #[error("{from} ended its answer early: {cause}")]
    Broken { from: String, cause: String },
    #[error("{from} did not give the module within {timeout:?}")]
    Timeout { from: String, timeout: Duration },
    #[error("{from} is not able to answer now: {said}")]
    Unavailable { from: String, said: String },
    #[error("there is nothing at {from}: {said}\n\nhint: correct the source's name or tag, or put the module there")]
    NotFound { from: String, said: String },
    #[error(
        "{from} refused the request: {said}\n\nhint: write auth: beside the source (docs/modules.md); for a registry, \
         `docker login` does as well"
    )]
    Refused { from: String, said: String },
    #[error("{from} answered with {said}, which is no module")]
    Unexpected { from: String, said: String },
    #[error("{from} leads nowhere: {cause}")]
    Redirect { from: String, cause: String },
    #[error(
        "the image {from} has {} WebAssembly layers, and one is needed; its layers are {}\n\nhint: push the component as \
         the only layer of type application/wasm",
        count, if layers.is_empty() { "none".into() } else { layers.join(", ") }
    )]
    Layers { from: String, count: usize, layers: Vec<String> },
    #[error(
        "{from} is an index of images, not one: {}\n\nhint: name one of them by its digest: \
         oci://HOST/REPOSITORY@sha256:…", images.join(", ")
    )]
    Index { from: String, images: Vec<String> },
    #[error("the password for {registry} cannot be taken from {}: {cause}\n\nhint: write auth: beside the source", file.display())]
    Credentials { registry: String, file: PathBuf, cause: String },
    #[error(
        "failed to set up TLS: {cause}\n\nhint: the system's certificates are needed (package ca-certificates), or \
         SSL_CERT_FILE"
    )]
    Tls { cause: String },
}

impl FetchError {
    /// [`Remedy::Retry`] for a place that is down, [`Remedy::Hold`] for what somebody has to put right.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Connect { .. } | Self::Broken { .. } | Self::Timeout { .. } | Self::Unavailable { .. } => {
                Remedy::Retry
            }
            Self::Unreadable { .. }
            | Self::EmptyFolder { .. }
            | Self::Ambiguous { .. }
            | Self::TooLarge { .. }
            | Self::Digest { .. }
            | Self::NotFound { .. }
            | Self::Refused { .. }
            | Self::Unexpected { .. }
            | Self::Redirect { .. }
            | Self::Layers { .. }
            | Self::Index { .. }
            | Self::Credentials { .. }
            | Self::Tls { .. } => Remedy::Hold,
        }
    }

    /// What a server's status means.
    pub(super) fn of_status(from: String, status: u16, said: String) -> Self {
        match status {
            401 | 403 => Self::Refused { from, said },
            404 | 410 => Self::NotFound { from, said },
            408 | 425 | 429 | 500.. => Self::Unavailable { from, said },
            _ => Self::Unexpected { from, said },
        }
    }
}
