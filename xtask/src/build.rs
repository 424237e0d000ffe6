//! `cargo xtask build`: the binary, and every module.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::steps::{cargo, root, run, target};

const WASM: &str = "wasm32-unknown-unknown";

pub fn build() -> Result<()> {
    // The whole workspace: with a part of it, features differ and everything would be built once more.
    run(cargo(&["build", "--release", "--workspace", "--no-default-features"]))?;
    modules()
}

/// Builds processors/* and tests/guests/* as components.
pub fn modules() -> Result<()> {
    let mut names = crates_in(&root().join("processors"))?;
    names.extend(crates_in(&root().join("tests/guests"))?);
    let mut command = cargo(&["build", "--profile", "module", "--target", WASM]);
    for name in &names {
        command.args(["-p", name]);
    }
    run(command)?;
    let folder = target().join("modules");
    fs::create_dir_all(&folder)?;
    for name in names {
        let built = target().join(WASM).join("module").join(format!("{}.wasm", name.replace('-', "_")));
        let module = folder.join(format!("{name}.wasm"));
        // Renamed, so that a running program never sees half of it.
        let partial = folder.join(format!(".{name}.partial"));
        fs::copy(&built, &partial).with_context(|| format!("{} is not there", built.display()))?;
        fs::rename(&partial, &module)?;
        eprintln!("{}  {} KiB", module.display(), fs::metadata(&module)?.len() >> 10);
    }
    Ok(())
}

fn crates_in(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // What is no component is a library of theirs.
        let manifest = fs::read_to_string(path.join("Cargo.toml")).unwrap_or_default();
        if manifest.contains("cdylib") {
            names.push(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}
