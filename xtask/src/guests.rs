//! `cargo xtask guests`: the example processors in C, JavaScript and Python as components in target/modules. Their tools
//! are fetched once per machine into the cache, pinned by version and checksum.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use tidegate_engines::cache_folder;

use crate::steps::{cargo, root, run, target, there_is};

/// Crates with what is used of them; they read and write WIT and components.
const CARGO_TOOLS: &[(&str, &str, &str)] =
    &[("wit-bindgen-cli", "0.63.0", "c"), ("wasm-tools", "1.263.0", "component")];

/// What the tools come with.
pub const NEEDED: &[(&str, &str)] = &[("python3", "Python 3.9 or later with venv"), ("npm", "Node.js with npm")];

/// Builds those whose sources or tools have changed.
pub fn guests() -> Result<()> {
    if let Some((_, install)) = NEEDED.iter().find(|(program, _)| !there_is(program)) {
        bail!("the examples in other languages need {install}");
    }
    for language in ["c", "javascript", "python"] {
        let folder = root().join("examples/guests").join(language);
        let name = format!("page-views-{language}");
        let built = cache_folder().join("guests").join(format!("{name}-{:016x}.wasm", fingerprint(&folder)?));
        if !built.exists() {
            eprintln!("building {name}");
            let tools = tools(language, &folder)?;
            fs::create_dir_all(built.parent().context("a folder")?)?;
            let partial = built.with_extension("partial");
            let mut build = Command::new(folder.join("build.sh"));
            build.arg(&partial).env("PATH", path_with(tools)?);
            run(build)?;
            fs::rename(&partial, &built)?;
        }
        let module = target().join("modules").join(format!("{name}.wasm"));
        fs::create_dir_all(module.parent().context("a folder")?)?;
        fs::copy(&built, &module)?;
        eprintln!("{}  {} KiB", module.display(), fs::metadata(&module)?.len() >> 10);
    }
    Ok(())
}

/// Folders of the programs that `build.sh` calls.
fn tools(language: &str, folder: &Path) -> Result<Vec<PathBuf>> {
    match language {
        "javascript" => Ok(vec![packages_of_npm(folder)?]),
        "python" => Ok(vec![packages_of_python(folder)?]),
        _ => {
            let crates = CARGO_TOOLS.iter().map(|(name, version, feature)| crate_of_cargo(name, version, feature));
            crates.chain([packages_of_python(folder)]).collect()
        }
    }
}

/// Without optimization: they run for a moment, and would take minutes to build.
fn crate_of_cargo(name: &'static str, version: &str, feature: &str) -> Result<PathBuf> {
    let folder = once(&format!("{name}-{version}"), |folder| {
        let mut install = cargo(&["install", "--quiet", "--locked", "--debug", "--version", version, name]);
        install.args(["--no-default-features", "--features", feature, "--root"]).arg(folder);
        run(install)
    })?;
    Ok(folder.join("bin"))
}

fn packages_of_python(guest: &Path) -> Result<PathBuf> {
    let requirements = guest.join("requirements.txt");
    let folder = once(&format!("python-{:016x}", hash(&requirements)?), |folder| {
        let mut make = Command::new("python3");
        make.args(["-m", "venv"]).arg(folder);
        run(make)?;
        let mut install = Command::new(folder.join("bin/pip"));
        install.args(["install", "--quiet", "--require-hashes", "--only-binary", ":all:", "-r"]).arg(&requirements);
        run(install)
    })?;
    Ok(folder.join("bin"))
}

fn packages_of_npm(guest: &Path) -> Result<PathBuf> {
    let folder = once(&format!("npm-{:016x}", hash(&guest.join("package-lock.json"))?), |folder| {
        for file in ["package.json", "package-lock.json"] {
            fs::copy(guest.join(file), folder.join(file))?;
        }
        // Not `ci`: it refuses a lock file without the optional packages of platforms that the registry has none for.
        let mut install = Command::new("npm");
        install.args(["install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(folder);
        run(install)
    })?;
    Ok(folder.join("node_modules/.bin"))
}

/// A folder of the cache that is filled by one process and then left alone. It is not renamed when it is full: programs
/// of Python know where they are.
fn once(name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let folder = cache_folder().join("guest-tools").join(name);
    let complete = folder.join(".complete");
    fs::create_dir_all(&folder)?;
    let lock = File::create(folder.with_added_extension("lock"))?;
    lock.lock()?;
    if !complete.exists() {
        fs::remove_dir_all(&folder)?;
        fs::create_dir_all(&folder)?;
        eprintln!("fetching {name} into {}", folder.display());
        fill(&folder).with_context(|| format!("failed to fetch {name}"))?;
        File::create(complete)?;
    }
    Ok(folder)
}

fn path_with(folders: Vec<PathBuf>) -> Result<std::ffi::OsString> {
    let rest = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&rest)))?)
}

/// Of everything that goes into the component.
fn fingerprint(guest: &Path) -> Result<u64> {
    let entries = fs::read_dir(guest)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let mut files: Vec<_> = entries.into_iter().filter(|path| path.is_file()).collect();
    files.push(root().join("wit/processor.wit"));
    files.sort();
    let mut hasher = DefaultHasher::new();
    CARGO_TOOLS.hash(&mut hasher);
    for file in files.iter().filter(|file| file.extension() != Some("md".as_ref())) {
        (file.file_name(), hash(file)?).hash(&mut hasher);
    }
    Ok(hasher.finish())
}

fn hash(file: &Path) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    fs::read(file).with_context(|| file.display().to_string())?.hash(&mut hasher);
    Ok(hasher.finish())
}
