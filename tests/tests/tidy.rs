//! What the house does not want to grow, and what ARCHITECTURE.md says about it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 500;

/// So many lines in two processors are a rule of theirs that belongs into `processors/shared`.
const LINES_ALIKE: usize = 6;

/// One that becomes rows, one without the optional fields, one with surprises in them, one rejected.
const FIXTURES_MIN: usize = 4;

/// Each vendor has one home; nothing else may name it.
const HOMES: &[(&str, &[&str])] = &[
    ("wasmtime::", &["runtime/src/processor"]),
    ("wasmparser::", &["runtime/src/processor"]),
    ("rdkafka::", &["runtime/src/kafka", "sdk/client/src/kafka"]),
    ("rdkafka_sys", &["runtime/src/kafka", "sdk/client/src/kafka"]),
    ("hyper::", &["runtime/src/clickhouse"]),
    ("hyper_util::", &["runtime/src/clickhouse"]),
    ("prometheus_client::", &["runtime/src/metrics.rs"]),
    ("axum::", &["runtime/src/admin"]),
    ("serde_saphyr::", &["runtime/src/config"]),
    ("clap::", &["runtime/src/cli"]),
    ("jsonschema::", &["runtime/src/schema.rs"]),
    ("reqwest::", &["runtime/src/module_source", "runtime/src/cli/module.rs", "sdk/client/src/clickhouse"]),
    ("rustls::", &["runtime/src/module_source", "runtime/src/clickhouse", "sdk/client/src/clickhouse"]),
    ("oci_client::", &["runtime/src/module_source"]),
    ("docker_credential::", &["runtime/src/module_source"]),
    ("semver::", &["runtime/src/module_source"]),
];

/// The vocabulary names no stage, and no stage names the edge.
const MAY_NOT_NAME: &[(&str, &[&str])] = &[
    ("runtime/src/offset.rs", &["crate::"]),
    ("runtime/src/error.rs", &["crate::"]),
    ("runtime/src/digest.rs", &["crate::"]),
    (
        "runtime/src/module_source",
        &["crate::config", "crate::cli", "crate::pipeline", "crate::kafka", "crate::clickhouse", "crate::processor"],
    ),
    (
        "runtime/src/message.rs",
        &["crate::pipeline", "crate::kafka", "crate::clickhouse", "crate::processor", "crate::sink"],
    ),
    (
        "runtime/src/outcome.rs",
        &["crate::pipeline", "crate::kafka", "crate::clickhouse", "crate::processor", "crate::sink"],
    ),
    ("runtime/src/select.rs", &["crate::"]),
    (
        "runtime/src/schema.rs",
        &["crate::config", "crate::cli", "crate::pipeline", "crate::kafka", "crate::clickhouse", "crate::processor"],
    ),
    (
        "runtime/src/kafka",
        &["crate::config", "crate::cli", "crate::pipeline", "crate::clickhouse", "crate::processor", "crate::settle"],
    ),
    (
        "runtime/src/clickhouse",
        &["crate::config", "crate::cli", "crate::pipeline", "crate::kafka", "crate::processor", "crate::settle"],
    ),
    (
        "runtime/src/processor",
        &["crate::config", "crate::cli", "crate::pipeline", "crate::kafka", "crate::clickhouse", "crate::settle"],
    ),
    (
        "runtime/src/settle.rs",
        &["crate::config", "crate::cli", "crate::kafka", "crate::clickhouse", "crate::processor"],
    ),
    ("runtime/src/pipeline.rs", &["crate::config", "crate::cli", "crate::kafka", "crate::clickhouse", "crate::admin"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let relative = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((relative, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 60, "only {} sources were found", found.len());
    found
}

/// All that breaks a rule, one line each.
fn assert_none(broken: Vec<String>) {
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_file_says_what_it_is_and_is_not_too_long() {
    let mut broken = Vec::new();
    for (path, text) in sources() {
        if !text.starts_with("//!") {
            broken.push(format!("{path} does not open with //!"));
        }
        let lines = text.lines().count();
        if lines > LINES_MAX {
            broken.push(format!("{path} has {lines} lines"));
        }
        let name = path.rsplit('/').next().unwrap();
        if ["mod.rs", "utils.rs", "common.rs", "helpers.rs", "types.rs", "misc.rs"].contains(&name)
            && path != "rows/src/types.rs"
        {
            broken.push(format!("{path} is named after nothing"));
        }
    }
    assert_none(broken);
}

#[test]
fn vendors_stay_at_home() {
    let mut broken = Vec::new();
    for (path, text) in
        sources().iter().filter(|(path, _)| path.starts_with("runtime/src") || path.starts_with("sdk/client/src"))
    {
        for (vendor, homes) in HOMES {
            let at_home = homes.iter().any(|home| path.starts_with(home));
            let named = |line: &&str| line.contains(vendor) && !line.contains(&format!("_{vendor}"));
            if !at_home && text.lines().any(|line| named(&line) && !line.trim_start().starts_with("//")) {
                broken.push(format!("{path} names {vendor}"));
            }
        }
    }
    assert_none(broken);
}

#[test]
fn nobody_names_what_they_must_not_know() {
    let mut broken = Vec::new();
    for (path, text) in &sources() {
        for (place, names) in MAY_NOT_NAME.iter().filter(|(place, _)| path.starts_with(place)) {
            let named =
                names.iter().filter(|name| text.lines().any(|line| line.starts_with("use ") && line.contains(**name)));
            broken.extend(named.map(|name| format!("{path} names {name}, and {place} must not")));
        }
    }
    assert_none(broken);
}

/// Names of the folders of processors. `shared` is a library of theirs.
fn processors() -> Vec<String> {
    let folders = fs::read_dir(root().join("processors")).unwrap();
    let names = folders.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.filter(|name| name != "shared").collect();
    names.sort();
    assert!(names.len() > 10, "only {} processors were found", names.len());
    names
}

#[test]
fn processors_do_not_repeat_each_other() {
    let mut broken = Vec::new();
    let mut seen: BTreeMap<Vec<String>, String> = BTreeMap::new();
    let sources = sources();
    for name in processors() {
        let folder = format!("processors/{name}/");
        let mut own = BTreeMap::new();
        for (path, text) in sources.iter().filter(|(path, _)| path.starts_with(&folder)) {
            let lines: Vec<_> = text.lines().enumerate().filter(|(_, line)| says_something(line)).collect();
            for block in lines.windows(LINES_ALIKE) {
                let text: Vec<_> = block.iter().map(|(_, line)| line.trim().to_owned()).collect();
                let place = format!("{path}:{}", block[0].0 + 1);
                if let Some(other) = seen.get(&text) {
                    broken.push(format!("{place} repeats {other}: {}", text.join(" ")));
                }
                own.insert(text, place);
            }
        }
        seen.extend(own);
    }
    assert_none(broken);
}

/// Not a lone bracket, and not a column: tables have columns in common, and each declares its own.
fn says_something(line: &str) -> bool {
    let line = line.trim();
    let is_column = line.starts_with("(\"") && line.ends_with("\"),") && line.matches('"').count() == 4;
    line.contains(char::is_alphanumeric) && !is_column
}

#[test]
fn every_processor_is_as_complete_as_the_others() {
    let sources = sources();
    let native = fs::read_to_string(root().join("bench/native/src/main.rs")).unwrap();
    let mut broken = Vec::new();
    for name in processors() {
        let folder = root().join("processors").join(&name);
        let text = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
        let (manifest, readme) = (text("Cargo.toml"), text("README.md"));
        let title = format!("# {name}");
        let headings: Vec<_> = readme.lines().filter(|line| line.starts_with('#')).collect();
        let tests = format!("processors/{name}/tests/");
        let mut checks =
            sources.iter().filter(|(path, text)| path.starts_with(&tests) && text.contains("check_fixtures::<"));
        let rules = [
            (manifest.contains(&format!("name = \"{name}\"")), "has no Cargo.toml with its name"),
            (manifest.contains("cdylib"), "is no component"),
            (
                headings == [&title, "## Where it differs from the reference", "## Tests"],
                "has other headings in README.md",
            ),
            (
                folder.join("schema.sql").exists() != readme.contains("It writes no table."),
                "has no schema.sql, nor says why",
            ),
            (fixtures(&folder.join("fixtures")) >= FIXTURES_MIN, "has too few fixtures"),
            (checks.next().is_some(), "has no test that checks its fixtures"),
            (native.contains(&format!("(\"{name}\", serve::<")), "cannot be measured: bench/native does not name it"),
        ];
        let missed = rules.iter().filter(|(holds, _)| !holds);
        broken.extend(missed.map(|(_, what)| format!("processors/{name} {what}")));
    }
    assert_none(broken);
}

fn fixtures(folder: &Path) -> usize {
    let files = fs::read_dir(folder).into_iter().flatten();
    files.filter(|file| file.as_ref().unwrap().path().to_string_lossy().ends_with(".expected.json")).count()
}

#[test]
fn no_test_is_ignored_and_nothing_is_left_to_do() {
    let mut broken = Vec::new();
    for (path, text) in sources().iter().filter(|(path, _)| path != "tests/tests/tidy.rs") {
        for (number, line) in text.lines().enumerate() {
            let found = ["#[ignore", "todo!(", "unimplemented!(", "TODO", "FIXME", "allow(dead_code"];
            if found.iter().any(|mark| line.contains(mark)) {
                broken.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
            if path.starts_with("tests/tests") && line.contains("thread::sleep") {
                broken.push(format!("{path}:{}: a test that sleeps", number + 1));
            }
        }
    }
    assert_none(broken);
}

#[test]
fn the_architecture_names_what_is_there() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    assert!(text.lines().count() < 250);
    let mut broken = Vec::new();
    let mut named = 0;
    for word in text.split('`').skip(1).step_by(2) {
        let path = word.split("::").next().unwrap();
        let is_path = path.contains('/') && !path.contains(' ') && path.chars().next().is_some_and(char::is_lowercase);
        let of_ours = [
            "runtime",
            "rows",
            "commit-log",
            "sdk",
            "processors",
            "engines",
            "tests",
            "xtask",
            "wit",
            "docs",
            "bench",
            "examples",
        ];
        if !is_path || !of_ours.contains(&path.split('/').next().unwrap()) {
            continue;
        }
        named += 1;
        if !root().join(path).exists() {
            broken.push(format!("ARCHITECTURE.md names {path}, which is not there"));
        } else if let Some(test) = word.split_once("::").map(|(_, test)| test) {
            let source = fs::read_to_string(root().join(path)).unwrap();
            if !source.contains(&format!("fn {test}(")) {
                broken.push(format!("ARCHITECTURE.md names test {test}, which is not in {path}"));
            }
        }
    }
    assert!(named > 20, "only {named} paths are named");
    assert_none(broken);
}
