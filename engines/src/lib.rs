//! The servers that tidegate is developed and tested against, fetched and run: the real ClickHouse, an old one that
//! replicates, the real Apache Kafka and a real OCI registry. Not part of a production path.
//!
//! Everything is kept in [`cache_folder`], pinned by version and checksum, and fetched by the ordinary clients
//! (`npm`, `mvn`, `go`); what only Debian has is installed by `apt-get`.

mod clickhouse;
mod debian;
mod fetch;
mod kafka;
mod launcher;
mod process;
mod registry;
mod replicated;

use std::path::PathBuf;

pub use clickhouse::{ClickHouse, Customs, Launcher};
pub use debian::debian_replication;
pub use fetch::{FetchError, crane, kafka_jars, libchdb};
pub use kafka::{Kafka, KafkaCluster, Security};
pub use launcher::launch;
pub use registry::Registry;
pub use replicated::Replicated;

/// `$TIDEGATE_CACHE`, else `tidegate` in the user's cache folder.
pub fn cache_folder() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user = variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")));
    variable("TIDEGATE_CACHE").unwrap_or_else(|| user.unwrap_or_else(std::env::temp_dir).join("tidegate"))
}

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("failed to prepare {what}: {cause}")]
    Prepare { what: String, cause: std::io::Error },
    #[error("{name} was not ready within {seconds} s; its log ends with:\n{log}")]
    NotReady { name: &'static str, seconds: u64, log: String },
}
