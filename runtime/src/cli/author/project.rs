//! The Cargo project of a processor, in the current folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::super::Failure;
use super::super::compiler::engine;
use crate::processor::{InstanceConfig, Limits, Module};
use crate::start::cache_folder;

/// A project that builds into a component.
pub struct Project {
    /// Of the package.
    pub name: String,
    built: PathBuf,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

const WASM: &str = "wasm32-unknown-unknown";

impl Project {
    /// # Errors
    /// If the current folder has no package that builds into a component.
    pub fn here() -> Result<Self, Failure> {
        if !Path::new("Cargo.toml").exists() {
            let hint = "`tidegate new NAME` makes a processor; otherwise say --module FILE.wasm";
            return Err(Failure::Usage(format!("there is no Cargo.toml in this folder\n\nhint: {hint}")));
        }
        let metadata = metadata()?;
        let manifest = std::path::absolute("Cargo.toml").unwrap_or_default();
        let package = metadata.packages.into_iter().find(|package| package.manifest_path == manifest);
        let package = package.ok_or_else(|| Failure::Usage("Cargo.toml has no [package]".into()))?;
        let component = package.targets.iter().find(|target| target.crate_types.iter().any(|kind| kind == "cdylib"));
        let Some(component) = component else {
            let hint = "a processor has `crate-type = [\"cdylib\", \"rlib\"]` under [lib] in Cargo.toml";
            return Err(Failure::Usage(format!("package {:?} builds into no component\n\nhint: {hint}", package.name)));
        };
        let file = format!("{}.wasm", component.name.replace('-', "_"));
        Ok(Self { name: package.name, built: metadata.target_directory.join(WASM).join("release").join(file) })
    }

    /// Builds the component, with cargo's own words on standard error, and says where it is.
    ///
    /// # Errors
    /// If the target is not installed, or cargo fails.
    pub fn build(&self) -> Result<PathBuf, Failure> {
        target_is_there()?;
        let status = cargo().args(["build", "--release", "--target", WASM]).stdin(Stdio::null()).status();
        let status = status.map_err(|error| Failure::Unreachable(format!("failed to run cargo: {error}")))?;
        if !status.success() {
            return Err(Failure::Running(format!("{} does not build", self.name)));
        }
        if !self.built.is_file() {
            return Err(Failure::Running(format!("cargo built something, but not {}", self.built.display())));
        }
        Ok(self.built.clone())
    }
}

/// The module that a command is about: the one that is named, or that of this project, built anew.
pub fn module_file(named: Option<&PathBuf>) -> Result<PathBuf, Failure> {
    match named {
        Some(file) => Ok(file.clone()),
        None => Project::here()?.build(),
    }
}

/// Loads a module as a pipeline would, with the limits that apply where a configuration says nothing.
pub fn load(file: &Path) -> Result<(Module, InstanceConfig), Failure> {
    let engine = engine()?;
    let module = Module::load(&engine, file, &cache_folder().join("modules"));
    let module = module.map_err(|error| Failure::Usage(error.to_string()))?;
    let config = InstanceConfig {
        params: "{}".into(),
        topics: vec!["test".into()],
        limits: Limits::default(),
        layouts: module.layouts().to_vec(),
    };
    Ok((module, config))
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn metadata() -> Result<Metadata, Failure> {
    let output = cargo().args(["metadata", "--no-deps", "--format-version", "1"]).stderr(Stdio::piped()).output();
    let output = output.map_err(|error| {
        Failure::Unreachable(format!("failed to run cargo: {error}\n\nhint: install Rust with rustup"))
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::Usage(format!(
            "cargo cannot read Cargo.toml: {}",
            said.trim().trim_start_matches("error: ")
        )));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| Failure::Running(format!("failed to understand `cargo metadata`: {error}")))
}

fn target_is_there() -> Result<(), Failure> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "target-libdir", "--target", WASM]).output();
    let output = output.map_err(|error| {
        Failure::Unreachable(format!("failed to run rustc: {error}\n\nhint: install Rust with rustup"))
    })?;
    let folder = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && Path::new(folder.trim()).is_dir() {
        return Ok(());
    }
    let hint = format!("rustup target add {WASM}");
    Err(Failure::Unreachable(format!("the Rust toolchain cannot build for {WASM}\n\nhint: {hint}")))
}
