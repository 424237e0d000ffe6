//! Fetching, once per machine: pinned, checked, with a sign of life while it lasts.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use indicatif::ProgressBar;
use sha2::{Digest, Sha256};

use crate::cache_folder;

/// Why something could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{program} is needed to fetch {what}\n\nhint: {hint}")]
    Missing { program: &'static str, what: &'static str, hint: &'static str },
    #[error("failed to fetch {what}: {cause}")]
    Failed { what: &'static str, cause: String },
    #[error("{what} has checksum {found} instead of {expected}; it is not used")]
    Checksum { what: &'static str, expected: &'static str, found: String },
}

const CHDB_PACKAGE: &str = "@chdb/lib-linux-x64-gnu";
const CHDB_VERSION: &str = "26.7.3-stable.1";
const CHDB_SHA256: &str = "c0d32b129e988f2b9a9a31c9141aecf5e1e2453f9a079efc4d36ab8e3f92b2ad";
const KAFKA_VERSION: &str = "4.1.1";
const KAFKA_SHA256: &str = include_str!("kafka-jars.sha256");
const CRANE_MODULE: &str = "github.com/google/go-containerregistry";
/// The last that Debian 12's Go can build.
const CRANE_VERSION: &str = "v0.20.2";
const CRANE_SUM: &str = "h1:B1wPJ1SN/S7pB+ZAimcciVD+r+yV/l/DSArMxlbwseo=";
const POM: &str = include_str!("kafka-pom.xml");

/// `libchdb.so`, which is ClickHouse 26.7: 178 MB to fetch, 566 MB on disk.
///
/// # Errors
/// See [`FetchError`].
pub fn libchdb() -> Result<PathBuf, FetchError> {
    let what = "ClickHouse (libchdb.so, 178 MB)";
    once(&format!("clickhouse-{CHDB_VERSION}"), what, |folder| {
        let package = format!("{CHDB_PACKAGE}@{CHDB_VERSION}");
        let mut npm = Command::new("npm");
        npm.args(["pack", "--silent", &package]).current_dir(folder);
        run(npm, what, "npm", "install Node.js with npm, or put a `clickhouse` binary into the PATH")?;
        let archive = folder.join(format!("chdb-lib-linux-x64-gnu-{CHDB_VERSION}.tgz"));
        let found = sha256(&archive).map_err(|error| failed(what, error))?;
        if found != CHDB_SHA256 {
            return Err(FetchError::Checksum { what, expected: CHDB_SHA256, found });
        }
        let mut tar = Command::new("tar");
        tar.arg("xzf").arg(&archive).args(["--strip-components=1", "package/libchdb.so"]).current_dir(folder);
        run(tar, what, "tar", "install tar")?;
        fs::remove_file(&archive).map_err(|error| failed(what, error))
    })
    .map(|folder| folder.join("libchdb.so"))
}

/// A folder with the jars of Apache Kafka: 43 MiB.
///
/// # Errors
/// See [`FetchError`].
pub fn kafka_jars() -> Result<PathBuf, FetchError> {
    let what = "Apache Kafka (47 jars, 43 MiB)";
    once(&format!("kafka-{KAFKA_VERSION}"), what, |folder| {
        fs::write(folder.join("pom.xml"), POM).map_err(|error| failed(what, error))?;
        let mut mvn = Command::new("mvn");
        mvn.args(["-B", "-q", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=libs"]);
        mvn.current_dir(folder);
        run(mvn, what, "mvn", "install a JDK 17 or later and Maven")?;
        let found = sum_of_jars(&folder.join("libs")).map_err(|error| failed(what, error))?;
        let expected = KAFKA_SHA256.trim();
        if found == expected { Ok(()) } else { Err(FetchError::Checksum { what, expected, found }) }
    })
    .map(|folder| folder.join("libs"))
}

/// The program `crane`, which has an OCI registry in it: built from source, 14 MB.
///
/// # Errors
/// See [`FetchError`].
pub fn crane() -> Result<PathBuf, FetchError> {
    let what = "an OCI registry (crane)";
    let hint = "install Go 1.19 or later";
    once(&format!("crane-{CRANE_VERSION}"), what, |folder| {
        let mut download = Command::new("go");
        download.args(["mod", "download", "-json", &format!("{CRANE_MODULE}@{CRANE_VERSION}")]).current_dir(folder);
        let told = run(download, what, "go", hint)?;
        if !told.contains(&format!("\"Sum\": \"{CRANE_SUM}\"")) {
            return Err(FetchError::Checksum { what, expected: CRANE_SUM, found: told });
        }
        let mut install = Command::new("go");
        install.args(["install", &format!("{CRANE_MODULE}/cmd/crane@{CRANE_VERSION}")]);
        install.env("GOBIN", folder).current_dir(folder);
        run(install, what, "go", hint).map(drop)
    })
    .map(|folder| folder.join("crane"))
}

/// Makes a folder of the cache with `fill`, unless it is there. Two processes at once: one fills, the other waits.
fn once(
    name: &str,
    what: &'static str,
    fill: impl FnOnce(&Path) -> Result<(), FetchError>,
) -> Result<PathBuf, FetchError> {
    let folder = cache_folder().join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    let io = |error| failed(what, error);
    fs::create_dir_all(cache_folder()).map_err(io)?;
    let lock = File::create(cache_folder().join(format!("{name}.lock"))).map_err(io)?;
    lock.lock().map_err(io)?;
    if folder.is_dir() {
        return Ok(folder);
    }
    let partial = cache_folder().join(format!("{name}.partial"));
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial).map_err(io)?;
    eprintln!("fetching {what} into {}", folder.display());
    let spinner = ProgressBar::new_spinner().with_message(format!("fetching {what}"));
    spinner.enable_steady_tick(Duration::from_millis(120));
    fill(&partial)?;
    spinner.finish_and_clear();
    fs::rename(&partial, &folder).map_err(io)?;
    Ok(folder)
}

/// What it prints.
pub(crate) fn run(
    mut command: Command,
    what: &'static str,
    program: &'static str,
    hint: &'static str,
) -> Result<String, FetchError> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => FetchError::Missing { program, what, hint },
        _ => failed(what, error),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()).join("\n");
    Err(FetchError::Failed { what, cause: format!("{program}: {}: {}", output.status, text.trim()) })
}

pub(crate) fn failed(what: &'static str, error: io::Error) -> FetchError {
    FetchError::Failed { what, cause: error.to_string() }
}

/// Over the names and checksums of the jars, sorted by name.
fn sum_of_jars(folder: &Path) -> io::Result<String> {
    let mut names: Vec<_> = fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    names.sort();
    let mut hasher = Sha256::new();
    for path in names {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        hasher.update(format!("{name} {}\n", sha256(&path)?));
    }
    Ok(hex(&hasher.finalize()))
}

fn sha256(path: &Path) -> io::Result<String> {
    let (mut file, mut hasher) = (File::open(path)?, Sha256::new());
    let mut buffer = vec![0; 1 << 20];
    loop {
        match io::Read::read(&mut file, &mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
