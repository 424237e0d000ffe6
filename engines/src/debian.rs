//! Debian's packages, for servers that no other registry has: installed once per machine, by root.

use std::fs::File;
use std::io;
use std::process::Command;
use std::time::Duration;

use indicatif::ProgressBar;

use crate::cache_folder;
use crate::fetch::{FetchError, failed, run};

const WHAT: &str = "ClickHouse 18.16 and ZooKeeper of Debian 12 (73 packages, 49 MB)";
const HINT: &str = "on Debian 12, as root: apt-get install clickhouse-server zookeeper; no other system has them";
/// With the beginning of the version that the tests were written for; what follows is Debian's.
const PACKAGES: &[(&str, &str)] = &[("clickhouse-server", "18.16.1"), ("zookeeper", "3.8.0")];

/// Installs an old ClickHouse, which does replicate, and the ZooKeeper that it needs, unless they are there.
///
/// # Errors
/// If they are not there and cannot be installed: no root, no Debian, or another version of it.
pub fn debian_replication() -> Result<(), FetchError> {
    if are_installed() {
        return Ok(());
    }
    let io = |error| failed(WHAT, error);
    std::fs::create_dir_all(cache_folder()).map_err(io)?;
    let lock = File::create(cache_folder().join("debian.lock")).map_err(io)?;
    lock.lock().map_err(io)?;
    if are_installed() {
        return Ok(());
    }
    // SAFETY: it only tells who we are.
    if unsafe { libc::geteuid() } != 0 {
        return Err(FetchError::Missing { program: "root", what: WHAT, hint: HINT });
    }
    eprintln!("installing {WHAT}");
    let spinner = ProgressBar::new_spinner().with_message(format!("installing {WHAT}"));
    spinner.enable_steady_tick(Duration::from_millis(120));
    run(apt_get(&["update", "-q"]), WHAT, "apt-get", HINT)?;
    let mut install = apt_get(&["install", "-q", "-y", "--no-install-recommends"]);
    install.args(PACKAGES.iter().map(|(package, version)| format!("{package}={version}*")));
    run(install, WHAT, "apt-get", HINT)?;
    spinner.finish_and_clear();
    if are_installed() { Ok(()) } else { Err(failed(WHAT, io::Error::other("apt-get has installed something else"))) }
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn are_installed() -> bool {
    PACKAGES.iter().all(|(package, version)| {
        let mut query = Command::new("dpkg-query");
        query.args(["--show", "--showformat", "${db:Status-Status} ${Version}", package]);
        let told = query.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        told.is_ok_and(|told| told.starts_with(&format!("installed {version}")))
    })
}
