//! Embeds what `tidegate new` writes into a project: the sources of the SDK, which is on no registry, as a workspace of
//! their own. docs/decisions/0009-vendored-sdk.md says why.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Relative to the root of the repository.
const CRATES: &[&str] = &["sdk/processor", "sdk/derive", "rows"];
const CONTRACT: &str = "wit/processor.wit";

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?).join("..").canonicalize()?;
    let mut files = vec![root.join(CONTRACT)];
    for name in CRATES {
        println!("cargo::rerun-if-changed={}", root.join(name).display());
        files.push(root.join(name).join("Cargo.toml"));
        sources(&root.join(name).join("src"), &mut files)?;
    }
    let manifests: Vec<String> =
        CRATES.iter().map(|name| fs::read_to_string(root.join(name).join("Cargo.toml"))).collect::<Result<_, _>>()?;
    let workspace = fs::read_to_string(root.join("Cargo.toml"))?;
    for file in [root.join("Cargo.toml"), root.join("Cargo.lock"), root.join(CONTRACT)] {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    let folder = PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?);
    fs::write(folder.join("vendor.toml"), vendored_workspace(&workspace, &manifests))?;
    let mut table = String::from("&[\n");
    for file in files {
        let path = file.strip_prefix(&root).map_err(io::Error::other)?;
        let line = writeln!(table, "    ({:?}, include_str!({:?})),", path.display(), file.display());
        line.map_err(io::Error::other)?;
    }
    fs::write(folder.join("vendor.rs"), table + "]\n")
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// This repository's workspace, with these crates alone and what they depend on; cargo's tables have a line a crate.
fn vendored_workspace(workspace: &str, manifests: &[String]) -> String {
    let is_wanted = |line: &str| {
        let name = line.split([' ', '.', '=']).next().unwrap_or_default();
        let inherited = |manifest: &String| {
            manifest.lines().any(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(".workspace") || rest.starts_with(" = { workspace"))
            })
        };
        !name.is_empty() && manifests.iter().any(inherited)
    };
    let mut text = format!(
        "# The SDK of tidegate, as the program has it that wrote this.\n[workspace]\nresolver = \"3\"\nmembers = {CRATES:?}\n"
    );
    let mut section = "";
    for line in workspace.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with('[') {
            section = line;
            if ["[workspace.package]", "[workspace.dependencies]"].contains(&section)
                || section.starts_with("[workspace.lints")
            {
                text += &format!("\n{line}\n");
            }
        } else if section == "[workspace.package]" || section.starts_with("[workspace.lints") {
            text += &if line.is_empty() { String::new() } else { format!("{line}\n") };
        } else if section == "[workspace.dependencies]" && is_wanted(line) {
            text += &format!("{line}\n");
        }
    }
    text
}
