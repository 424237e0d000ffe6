//! The Python client (`sdk/client-python`): its wheel is built and installed, its types are checked, and its tests and
//! those of the examples that use it (`examples/alerts`, `examples/post-process`, `examples/read-your-writes`) are run with
//! a real Kafka and a real ClickHouse. None of them may be left out.

#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use tidegate_engines::cache_folder;
use tidegate_tests::processors::repository;
use tidegate_tests::servers;

#[test]
fn real_the_python_client_passes_its_tests() {
    let programs = programs();
    let folder = servers::folder("python-client");
    let installed = install(&programs, &folder);
    let python = |arguments: &[&str]| {
        let mut command = Command::new(programs.join("python"));
        command.arg("-m").args(arguments).current_dir(package());
        command.env("PYTHONPATH", &installed).env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("HYPOTHESIS_STORAGE_DIRECTORY", folder.join("hypothesis"));
        command.env("TIDEGATE_TEST_KAFKA", servers::kafka()).env("TIDEGATE_TEST_CLICKHOUSE", servers::clickhouse());
        run(&mut command)
    };
    println!("{}", python(&["mypy", "--cache-dir", &folder.join("mypy").display().to_string()]));
    let output = python(&["pytest", "-q", "-rA"]);
    let summary = output.trim_end().lines().last().unwrap();
    println!("{summary}");
    let counts: Vec<_> = summary.split(" in ").next().unwrap().split_whitespace().collect();
    let [count, "passed"] = counts[..] else { panic!("not all tests were run:\n{output}") };
    assert!(count.parse::<u32>().unwrap() > 200, "{summary}");
}

fn package() -> PathBuf {
    repository().join("sdk/client-python")
}

/// What the tests need, pinned by version and checksum: a virtual environment that is made once per machine.
fn programs() -> PathBuf {
    let requirements = package().join("tests/requirements.txt");
    let mut hasher = DefaultHasher::new();
    fs::read(&requirements).unwrap().hash(&mut hasher);
    let folder = cache_folder().join("client-python").join(format!("{:016x}", hasher.finish()));
    fs::create_dir_all(folder.parent().unwrap()).unwrap();
    let lock = File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let complete = folder.join(".complete");
    if !complete.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
        let mut install = Command::new(folder.join("bin/pip"));
        install.args(["install", "--quiet", "--require-hashes", "--only-binary", ":all:", "-r"]).arg(&requirements);
        run(&mut install);
        File::create(complete).unwrap();
    }
    folder.join("bin")
}

/// The wheel is installed into a folder of this run: the environment belongs to all that run at the same time.
fn install(programs: &Path, folder: &Path) -> PathBuf {
    let (wheels, installed) = (folder.join("wheels"), folder.join("installed"));
    let pip = |verb| {
        let mut command = Command::new(programs.join("pip"));
        command.args([verb, "--quiet", "--no-deps", "--no-index"]);
        command
    };
    run(pip("wheel").args(["--no-build-isolation", "--wheel-dir"]).arg(&wheels).arg(package()));
    let wheel = fs::read_dir(&wheels).unwrap().next().unwrap().unwrap().path();
    run(pip("install").arg("--target").arg(&installed).arg(wheel));
    assert!(installed.join("tidegate/py.typed").is_file(), "the wheel says nothing of types");
    installed
}

/// What it prints, if it succeeds.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let [printed, errors] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{command:?}: {}\n{printed}\n{errors}", output.status);
    printed
}
