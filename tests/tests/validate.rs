//! Broken configurations and what `tidegate validate` says of each: `configs/broken/NAME.yaml` and `NAME.txt`.
//! `UPDATE_GOLDEN=1` writes the texts anew.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tidegate_tests::servers::built;

fn tidegate(folder: &Path, command: &str, file: &str) -> Output {
    Command::new(built("tidegate")).arg(command).arg(file).current_dir(folder).output().unwrap()
}

#[test]
fn every_broken_configuration_is_explained() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/broken");
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let output = tidegate(&folder, "validate", &file);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{file}: {said}");
        assert!(said.contains("hint: ") || file == "not-yaml.yaml", "{file} has no way out: {said}");
        let golden = path.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &said).unwrap();
        }
        assert_eq!(said, fs::read_to_string(&golden).unwrap_or_default(), "{file}");
        count += 1;
    }
    assert!(count >= 10, "only {count} configurations were found");
}

#[test]
fn a_good_configuration_is_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let output = tidegate(&folder, "validate", "good.yaml");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("good.yaml: valid"));
}

/// `configs/consistency`: what every profile but the default costs, in a line for each storage. `UPDATE_GOLDEN=1` writes it anew.
#[test]
fn what_a_storage_promises_has_its_price() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/consistency");
    for (flags, golden) in [(&[][..], "validate.txt"), (&["--json"], "validate.json")] {
        let mut command = Command::new(built("tidegate"));
        let output = command.args(flags).args(["validate", "validate.yaml"]).current_dir(&folder).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).unwrap();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(folder.join(golden), &said).unwrap();
        }
        assert_eq!(said, fs::read_to_string(folder.join(golden)).unwrap_or_default());
    }
}

#[test]
fn secrets_and_certificates_may_be_missing_where_nothing_runs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let said = [
        "missing-secrets.yaml:4:76: the secret's variable \"TIDEGATE_NO_SUCH_SECRET\" is not set\n\nhint: set it where tidegate \
         runs\n\n",
        "missing-secrets.yaml:4:179: kafka property \"ssl.ca.location\": the file \"no-such-ca.pem\" cannot be read: ",
        "missing-secrets.yaml:6:56: the secret's file \"no-such-file\" cannot be read: ",
        "missing-secrets.yaml:6:85: certificates cannot be read from \"no-such-ca.pem\": ",
    ];
    for (command, code, severity) in [("validate", 0, "warning"), ("dry-run", 2, "error"), ("run", 2, "error")] {
        let output = tidegate(&folder, command, "missing-secrets.yaml");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{command}: {stderr}");
        assert!(stderr.starts_with(&format!("{severity}: {}", said[0])), "{command}: {stderr}");
        assert!(said.iter().all(|problem| stderr.contains(problem)), "{command}: {stderr}");
    }
}
