//! `tidegate run`: pipelines until a signal.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use sha2::{Digest, Sha256};
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, block_on};
use crate::admin::Admin;
use crate::config::Config;
use crate::control::Keepers;
use crate::kafka::{CommitLogs, Stopper};
use crate::metrics::Metrics;
use crate::start::{Running, StartError, Starter, brokers};
use crate::status::Status;
use crate::wait::Waits;

const EXIT_SIGINT: u8 = 130;
const EXIT_SIGTERM: u8 = 143;

pub fn run(path: &Path) -> Result<(), Failure> {
    let config = Config::read(path)?;
    let state = state_folder(&config, path);
    block_on(pipelines(config.into(), state))?
}

/// What the configuration says, else a folder of the user's for this very file: `$XDG_STATE_HOME/tidegate/…`.
pub(super) fn state_folder(config: &Config, path: &Path) -> PathBuf {
    if let Some(folder) = &config.state {
        return path.parent().unwrap_or(Path::new(".")).join(&folder.0);
    }
    let home = std::env::var_os("HOME").map_or_else(std::env::temp_dir, PathBuf::from);
    let states = std::env::var_os("XDG_STATE_HOME").map_or_else(|| home.join(".local/state"), PathBuf::from);
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    let name: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    states.join("tidegate").join(name)
}

/// Starts every pipeline and waits for the end of all.
pub(super) async fn pipelines(config: Arc<Config>, state: PathBuf) -> Result<(), Failure> {
    let (metrics, status, keepers) = (Metrics::new(), Status::new(), Keepers::default());
    // Nothing is ready before all of them are.
    config.pipelines.value.keys().for_each(|name| drop(status.pipeline(name)));
    let token = config.admin.token.as_ref().map(|token| token.value.value());
    let admin = Admin::listen(&config.admin.listen.value.0, token).await;
    let admin = admin.map_err(|error| Failure::Unreachable(error.to_string()))?;
    tracing::info!(url = format!("http://{}", admin.address), "admin port");
    let commit_logs = CommitLogs::new(brokers(&config));
    let waits = Waits::of(&config, commit_logs.clone());
    let serving = admin.serve(status.clone(), metrics.clone(), keepers.clone(), waits);
    let starter = Starter::new(config.clone(), state, commit_logs);
    let outcome = start_all(config, starter, &metrics, &status, &keepers).await;
    keepers.leave().await;
    serving.stop().await;
    outcome
}

async fn start_all(
    config: Arc<Config>,
    starter: impl Future<Output = Result<Starter, StartError>>,
    metrics: &Metrics,
    status: &Status,
    keepers: &Keepers,
) -> Result<(), Failure> {
    let starter = starter.await?;
    let mut readers = Vec::new();
    for pipelines in config.readers() {
        let mut prepared = Vec::new();
        for name in pipelines {
            prepared.push(starter.prepare(name).await?);
        }
        readers.push(prepared);
    }
    let mut running = Vec::new();
    for prepared in readers {
        let modules: Vec<_> = prepared.iter().map(|pipeline| pipeline.first.fitted.module.name().clone()).collect();
        let started = starter.start(prepared, metrics, status).await?;
        for ((pipeline, keeper), module) in started.pipelines.iter().zip(modules) {
            tracing::info!(pipeline, module = module.name, version = module.version, digest = %module.digest, "started");
            keepers.add(pipeline, keeper.clone());
        }
        running.push(started);
    }
    until_the_end(running).await
}

/// The first signal stops in good order, the second at once. A reader that fails stops the others.
async fn until_the_end(running: Vec<Running>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::Running(format!("failed to listen to signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let stoppers: Vec<_> = running.iter().map(|pipeline| pipeline.stopper.clone()).collect();
    let ends = running.into_iter().map(|Running { pipelines, ended, .. }| {
        let names: Vec<_> = pipelines.into_iter().map(|(name, _)| format!("{name:?}")).collect();
        ended.map(move |end| (names.join(" and "), end))
    });
    let mut ends: FuturesUnordered<_> = ends.collect();
    let (mut outcome, mut signalled) = (Ok(()), None);
    while !ends.is_empty() {
        tokio::select! {
            Some((name, end)) = ends.next() => {
                match end {
                    Ok(()) => tracing::info!(pipeline = %name, "stopped"),
                    Err(error) => {
                        tracing::error!(pipeline = %name, %error, "ended");
                        outcome = Err(Failure::Running(format!("pipeline {name}: {error}")));
                    }
                }
                stoppers.iter().for_each(Stopper::stop);
            }
            _ = interrupt.recv() => signal_came(&mut signalled, EXIT_SIGINT, &stoppers),
            _ = terminate.recv() => signal_came(&mut signalled, EXIT_SIGTERM, &stoppers),
        }
    }
    match signalled {
        Some(code) => Err(Failure::Interrupted(code)),
        None => outcome,
    }
}

fn signal_came(signalled: &mut Option<u8>, code: u8, stoppers: &[Stopper]) {
    if signalled.is_some() {
        tracing::warn!("second signal, ending at once; what is not settled is read again");
        std::process::exit(i32::from(code));
    }
    tracing::info!("stopping: what was read is written and committed first; another signal ends at once");
    *signalled = Some(code);
    stoppers.iter().for_each(Stopper::stop);
}
