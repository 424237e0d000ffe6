//! What an author does, with the built program: a project from nothing, golden cases, an inspection, a measurement.
//! Offline; it builds a project with cargo, below the target folder, so that the second time is quick.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::{Value, json};
use tidegate_tests::processors::{self, repository};
use tidegate_tests::servers::{self, built, module};

/// What a command printed.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn tidegate(folder: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(built("tidegate"));
    // Dependencies are built once for all runs of the tests.
    command.env("CARGO_TARGET_DIR", built("tidegate").parent().unwrap().join("author"));
    said(command.args(arguments).current_dir(folder).output().unwrap())
}

fn said(output: Output) -> Said {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

impl Said {
    #[track_caller]
    fn exits(self, code: i32) -> Said {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }

    fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn fresh(name: &str) -> PathBuf {
    let folder = servers::folder(name);
    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A project as `new` writes it, for the tests that do not change it.
static CLICKS: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = fresh("clicks-project");
    tidegate(&folder, &["new", "clicks"]).exits(0);
    folder.join("clicks")
});

#[test]
fn a_new_project_passes_its_tests_and_builds() {
    let tested = tidegate(&CLICKS, &["test"]).exits(0);
    assert!(
        tested.out.contains("ok       event\nok       no-id\n\n2 cases: 2 as expected, 0 not, 0 new"),
        "{}",
        tested.out
    );
    let built = tidegate(&CLICKS, &["build"]).exits(0);
    assert!(
        built.out.contains("module     clicks.wasm (") && built.out.contains("processor  clicks 0.1.0"),
        "{}",
        built.out
    );
    assert!(built.out.contains("output     clicks: 6 columns"), "{}", built.out);
    let seen = tidegate(&CLICKS, &["inspect", "clicks.wasm", "--json"]).exits(0).lines().remove(0);
    let host = json!([{ "name": "tidegate:processor/host@0.1.0", "provided": true }]);
    let others = seen["imports"].as_array().unwrap().iter().filter(|import| import["provided"] != true).count();
    assert_eq!(others, 0, "{seen:#} instead of {host}");
    assert_eq!(seen["contract"], "0.1.0");
    let valid = tidegate(&CLICKS, &["validate", "pipeline.yaml"]).exits(0);
    assert!(valid.out.contains("valid, 1 pipeline"), "{}", valid.out);
}

#[test]
fn names_that_cannot_be_and_folders_that_are_there_are_refused() {
    let folder = fresh("new-refused");
    let said = tidegate(&folder, &["new", "Page Views"]).exits(2);
    assert!(said.err.contains("hint: a name begins with a letter"), "{}", said.err);
    fs::create_dir(folder.join("there")).unwrap();
    let said = tidegate(&folder, &["new", "there"]).exits(2);
    assert!(said.err.contains("there is there already") && said.err.contains("nothing is overwritten"), "{}", said.err);
    let unreachable = ["new", "t", "--from-table", "t", "--clickhouse", "http://127.0.0.1:1"];
    let said = tidegate(&folder, &unreachable).exits(3);
    assert!(said.err.contains("hint: say where it is with --clickhouse URL"), "{}", said.err);
    assert!(!folder.join("t").exists());
}

#[test]
fn every_command_says_what_is_missing() {
    let folder = fresh("nothing");
    for command in ["build", "test"] {
        fs::create_dir_all(folder.join("fixtures")).unwrap();
        fs::write(folder.join("fixtures/a.json"), "{}").unwrap();
        let said = tidegate(&folder, &[command]).exits(2);
        assert!(said.err.contains("hint: `tidegate new NAME` makes a processor"), "{command}: {}", said.err);
    }
    fs::write(folder.join("Cargo.toml"), "[package]\nname = \"x\"\nedition = \"2024\"\n[workspace]\n").unwrap();
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::write(folder.join("src/lib.rs"), "").unwrap();
    let said = tidegate(&folder, &["build"]).exits(2);
    assert!(said.err.contains("hint: a processor has `crate-type = [\"cdylib\", \"rlib\"]`"), "{}", said.err);
    fs::write(folder.join("no.wasm"), "no").unwrap();
    let said = tidegate(&folder, &["inspect", "no.wasm"]).exits(2);
    assert!(said.err.contains("it is no WebAssembly"), "{}", said.err);
}

#[test]
fn a_toolchain_without_the_target_is_told_how_to_get_it() {
    let rustc = fresh("no-target").join("rustc");
    fs::write(&rustc, "#!/bin/sh\necho /nowhere\n").unwrap();
    Command::new("chmod").arg("+x").arg(&rustc).status().unwrap();
    let mut command = Command::new(built("tidegate"));
    let said = said(command.arg("build").env("RUSTC", &rustc).current_dir(&*CLICKS).output().unwrap()).exits(3);
    assert!(said.err.contains("hint: rustup target add wasm32-unknown-unknown"), "{}", said.err);
}

/// The same files as the SDK's test kit reads, through the sandbox.
#[test]
fn fixtures_of_processors_are_golden_cases() {
    let (outcomes, replacements) = (module("outcomes"), module("replacements"));
    for (name, module) in [("outcomes", outcomes), ("replacements", replacements)] {
        let folder = repository().join("processors").join(name).join("fixtures");
        let arguments = ["test", folder.to_str().unwrap(), "--module", module.to_str().unwrap(), "--json"];
        let lines = tidegate(&folder, &arguments).exits(0).lines();
        assert!(lines.len() > 10 && lines.iter().all(|line| line["verdict"] == "ok"), "{lines:?}");
    }
}

#[test]
fn what_differs_is_shown_by_column_and_taken_by_update() {
    let folder = fresh("differs");
    for entry in processors::files(&repository().join("processors/outcomes/fixtures")) {
        let name = entry.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("complete.") || name.starts_with("not-json.") {
            fs::copy(&entry, folder.join(name)).unwrap();
        }
    }
    let module = module("outcomes");
    let test =
        |more: &[&str]| tidegate(&folder, &[&["test", ".", "--module", module.to_str().unwrap()], more].concat());
    test(&[]).exits(0);
    let file = folder.join("complete.expected.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"quantity\": 12", "\"quantity\": 13").replace("\"reason\"", "\"raison\"")).unwrap();
    let differs = test(&[]).exits(4);
    let shown = "differs  complete
         row 1 of outcomes: raison    - \"quota\"
                                      + nothing of that name
         row 1 of outcomes: quantity  - 13
                                      + 12
ok       not-json

2 cases: 1 as expected, 1 not, 0 new";
    assert!(differs.out.starts_with(shown), "{}", differs.out);
    assert!(differs.err.contains("hint: mend the processor, or take it as it is now with --update"), "{}", differs.err);
    fs::write(folder.join("another.json"), "{\"outcome\": 1}").unwrap();
    let updated = test(&["--update", "--json"]).exits(0).lines();
    let verdict = |case: &str| updated.iter().find(|line| line["case"] == case).unwrap()["verdict"].clone();
    assert_eq!((verdict("complete"), verdict("another")), (json!("written"), json!("written")));
    assert_eq!(
        test(&[]).exits(0).out.lines().last(),
        Some("3 cases: 3 as expected, 0 not, 0 new; self-test of 3 messages ok")
    );
    fs::write(folder.join("another.bin"), "x").unwrap();
    assert!(test(&[]).exits(2).err.contains("has two messages another.*"));
    fs::remove_file(folder.join("another.bin")).unwrap();
    fs::remove_file(folder.join("another.json")).unwrap();
    assert!(test(&[]).exits(2).err.contains("a message that is not there: another.*"));
}

#[test]
fn a_measurement_is_compared_with_an_earlier_one() {
    let folder = fresh("bench");
    let messages = repository().join("processors/outcomes/fixtures");
    let module = module("outcomes");
    let bench = |more: &[&str]| {
        let about = ["bench", messages.to_str().unwrap(), "--module", module.to_str().unwrap(), "--seconds", "1"];
        tidegate(&folder, &[&about, more].concat())
    };
    bench(&["--save", "before.json"]).exits(0);
    let compared = bench(&["--baseline", "before.json", "--json"]).exits(0).lines().remove(0);
    assert_eq!(compared["ratio"]["memory"], 1.0);
    let (cpu, ratio) = (&compared["cpu_us_per_message"], &compared["ratio"]["cpu"]);
    assert!(cpu.as_f64().unwrap() > 0.0 && ratio.as_f64().unwrap() > 0.0, "{compared}");
    assert!(compared["rejected"].as_u64().unwrap() > 0, "{compared}");
    let said = bench(&["--baseline", "missing.json"]).exits(2);
    assert!(said.err.contains("failed to read missing.json"), "{}", said.err);
}

#[test]
fn an_inspection_tells_what_a_module_is() {
    let folder = fresh("inspect");
    let outcomes = module("outcomes");
    let seen = tidegate(&folder, &["inspect", outcomes.to_str().unwrap()]).exits(0);
    for line in [
        "contract    tidegate:processor@0.1.0",
        "tidegate:processor/types@0.1.0                provided",
        "limits      64 MiB of memory, 100ms + 5ms per message; by default",
        "processor   outcomes 0.1.0",
        "self-test   3 messages",
        "  quantity64  UInt64",
    ] {
        assert!(seen.out.contains(line), "{line:?} in\n{}", seen.out);
    }
    // A core module with a memory and an import of WASI's first preview.
    let core = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x0a\x01\x04wasi\x01f\0\0\x05\x04\x01\x01\x02\x05";
    fs::write(folder.join("core.wasm"), core).unwrap();
    let said = tidegate(&folder, &["inspect", "core.wasm"]).exits(2);
    for line in [
        "core module, not a component",
        "none of ours",
        "wasi f",
        "a trap when called",
        "128 KiB at start, at most 320 KiB",
    ] {
        assert!(said.out.contains(line), "{line:?} in\n{}", said.out);
    }
}
