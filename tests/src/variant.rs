//! Modules that differ in nothing but what tests want of them: copies of the guest `variant` with other bytes.

use std::path::{Path, PathBuf};

use crate::servers;

/// The table that all of them write to.
pub const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS variant (partition UInt16, offset UInt64, version UInt32) \
     ENGINE = MergeTree ORDER BY (partition, offset)";

const MARK: &[u8] = b"variant 0001 good.......................";

/// Writes a module of this version with these manners (see `tests/guests/variant`) into a folder.
pub fn write(folder: &Path, version: u32, mode: &str) -> PathBuf {
    let file = folder.join(format!("variant-{version}-{mode}.wasm"));
    std::fs::write(&file, bytes(version, mode)).expect("the folder can be written");
    file
}

/// The component.
pub fn bytes(version: u32, mode: &str) -> Vec<u8> {
    let mut wasm = std::fs::read(servers::module("variant")).expect("the guest is built");
    let marks: Vec<usize> =
        wasm.windows(MARK.len()).enumerate().filter(|(_, bytes)| *bytes == MARK).map(|(at, _)| at).collect();
    let mark = format!("variant {version:04} {mode:.<width$}", width = MARK.len() - 13);
    assert_eq!((marks.len(), mark.len()), (1, MARK.len()), "the mark is there once and has a place");
    wasm[marks[0]..marks[0] + MARK.len()].copy_from_slice(mark.as_bytes());
    wasm
}
