//! Pictures of the configurations in `configs/graph`: `NAME.yaml`, `NAME.mermaid` and `NAME.dot`.
//! `UPDATE_GOLDEN=1` writes them anew.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use tidegate_tests::servers::built;

#[test]
fn every_configuration_has_its_picture() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/graph");
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        for format in ["mermaid", "dot"] {
            let output = Command::new(built("tidegate")).arg("graph").arg(&path).args(["--format", format]).output();
            let output = output.unwrap();
            assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
            let drawn = String::from_utf8(output.stdout).unwrap();
            let golden = path.with_extension(format);
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                fs::write(&golden, &drawn).unwrap();
            }
            assert_eq!(drawn, fs::read_to_string(&golden).unwrap_or_default(), "{}", golden.display());
            count += 1;
        }
    }
    assert!(count >= 4, "only {count} pictures were drawn");
}
