//! The servers of a test run: started once per test program, when first asked for, and gone with it.

use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use tidegate_engines::{ClickHouse, Customs, Kafka, Launcher, Registry};

use crate::clickhouse::Database;

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
    remove_old(&std::env::temp_dir());
    std::fs::create_dir_all(&folder).expect("a folder for the servers");
    folder
});
static KAFKA: LazyLock<Mutex<Kafka>> =
    LazyLock::new(|| Mutex::new(Kafka::start(&FOLDER.join("kafka")).unwrap_or_else(|error| panic!("{error}"))));
static CLICKHOUSE: LazyLock<Mutex<ClickHouse>> =
    LazyLock::new(|| Mutex::new(own_clickhouse(&FOLDER.join("clickhouse"))));
static REGISTRY: LazyLock<Mutex<Registry>> = LazyLock::new(|| Mutex::new(own_registry(&FOLDER.join("registry"))));

const PREFIX: &str = "tidegate-tests-";
/// What a program of tests leaves can be looked at for so long.
const KEPT: Duration = Duration::from_secs(3600);

/// `host:port` of the Kafka that all tests of a program share.
pub fn kafka() -> String {
    KAFKA.lock().expect("no test panics while it holds the broker").bootstrap()
}

/// A database of its own in the ClickHouse that all tests of a program share.
pub fn database(name: &str) -> Database {
    Database::create(clickhouse_port(), name).unwrap_or_else(|error| panic!("{error}"))
}

/// Of the shared ClickHouse.
pub fn clickhouse_port() -> u16 {
    CLICKHOUSE.lock().expect("no test panics while it holds the server").port()
}

/// `http://host:port` of the shared ClickHouse.
pub fn clickhouse() -> String {
    CLICKHOUSE.lock().expect("no test panics while it holds the server").url()
}

/// A ClickHouse for a test that stops or kills it.
pub fn own_clickhouse(folder: &Path) -> ClickHouse {
    clickhouse_with(folder, Customs::default())
}

/// A ClickHouse for tests that need users, profiles or settings of the server of their own.
pub fn clickhouse_with(folder: &Path, customs: Customs) -> ClickHouse {
    let launcher = Launcher { program: built("tidegate-clickhouse"), arguments: Vec::new() };
    ClickHouse::start_with(launcher, folder, customs).unwrap_or_else(|error| panic!("{error}"))
}

/// `host:port` of the OCI registry that all tests of a program share.
pub fn registry() -> String {
    REGISTRY.lock().expect("no test panics while it holds the registry").host()
}

/// Of programs that have ended: logs of brokers are large.
fn remove_old(temporary: &Path) {
    if !Path::new("/proc/self").exists() {
        return;
    }
    for entry in std::fs::read_dir(temporary).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<u32>().ok());
        let is_gone = process.is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists());
        let changed = entry.metadata().and_then(|metadata| metadata.modified());
        if is_gone && changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > KEPT)) {
            // Another program may be at it, too.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// A registry for a test that kills it.
pub fn own_registry(folder: &Path) -> Registry {
    Registry::start(folder).unwrap_or_else(|error| panic!("{error}"))
}

/// A folder that is the test's own.
pub fn folder(name: &str) -> PathBuf {
    let folder = FOLDER.join(name);
    std::fs::create_dir_all(&folder).expect("a folder for the test");
    folder
}

/// A program of the workspace, built beside the tests.
pub fn built(program: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this program");
    let folder = test.ancestors().find(|folder| folder.join(program).is_file());
    folder.unwrap_or_else(|| panic!("{program} is not built; run `cargo xtask build` first")).join(program)
}

/// A built module, by `cargo xtask build`.
pub fn module(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this program");
    let file = format!("modules/{name}.wasm");
    let folder = test.ancestors().find(|folder| folder.join(&file).is_file());
    folder.unwrap_or_else(|| panic!("module {name} is not built; run `cargo xtask build` first")).join(file)
}
