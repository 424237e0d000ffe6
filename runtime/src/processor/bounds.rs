//! Bounds of what a module may be and may say of itself, checked before the host spends time or memory on it.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use wasmparser::{Parser, Payload};

use super::contract::Manifest;

/// A component of this size takes a minute to compile. Those of Python, the largest known, have 18.5 MB.
const COMPONENT_BYTES_MAX: usize = 32 << 20;
/// The body of a function: the compiler's time and memory grow faster than it. The largest known, the loops of
/// interpreters, have 200 KB.
const FUNCTION_BYTES_MAX: usize = 512 << 10;

const NAME_BYTES_MAX: usize = 100;
const VERSION_BYTES_MAX: usize = 100;
const SELF_TEST_BYTES_MAX: usize = 4 << 20;
const OUTPUTS_MAX: usize = 100;
/// Of an output or a column.
const LABEL_BYTES_MAX: usize = 200;
const COLUMNS_MAX: usize = 2000;
const TYPE_BYTES_MAX: usize = 10_000;

/// The bytes of a file, if they are not too many for a module.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut wasm = Vec::new();
    fs::File::open(path)?.take(COMPONENT_BYTES_MAX as u64 + 1).read_to_end(&mut wasm)?;
    if wasm.len() > COMPONENT_BYTES_MAX {
        return Err(io::Error::other(format!("it is too large, the limit is {COMPONENT_BYTES_MAX} bytes")));
    }
    Ok(wasm)
}

/// What the compiler would be at for too long. Whether it is a component at all is for the compiler to say.
pub(super) fn check_code(wasm: &[u8]) -> Result<(), String> {
    if !Parser::is_component(wasm) && Parser::is_core_wasm(wasm) {
        return Err("it is a core module, not a component\n\
             hint: link it as one (wasm-component-ld), or wrap it (wasm-tools component new)"
            .into());
    }
    for payload in Parser::new(0).parse_all(wasm) {
        // What cannot be parsed is refused by the compiler, which says it in full.
        let Ok(payload) = payload else { return Ok(()) };
        if let Payload::CodeSectionEntry(body) = payload
            && body.range().len() > FUNCTION_BYTES_MAX
        {
            let (at, bytes) = (body.range().start, body.range().len());
            return Err(format!("the function at byte {at} has {bytes} bytes and may have {FUNCTION_BYTES_MAX}"));
        }
    }
    Ok(())
}

/// What a module says of itself goes into logs, metrics, dead letters and statements.
pub(super) fn check_manifest(told: &Manifest) -> Result<(), String> {
    within("its name", &told.name, 1, NAME_BYTES_MAX)?;
    within("its version", &told.version, 0, VERSION_BYTES_MAX)?;
    if told.self_test.len() > SELF_TEST_BYTES_MAX {
        let bytes = told.self_test.len();
        return Err(format!("its self-test has {bytes} bytes and may have {SELF_TEST_BYTES_MAX}"));
    }
    if told.outputs.len() > OUTPUTS_MAX {
        return Err(format!("it has {} outputs and may have {OUTPUTS_MAX}", told.outputs.len()));
    }
    for output in &told.outputs {
        within("the name of an output", &output.name, 1, LABEL_BYTES_MAX)?;
        let (name, n) = (&output.name, output.columns.len());
        if n > COLUMNS_MAX {
            return Err(format!("output {name:?} has {n} columns and may have {COLUMNS_MAX}"));
        }
        for column in &output.columns {
            let of = |what| format!("output {name:?}: {what} of a column");
            within(&of("the name"), &column.name, 1, LABEL_BYTES_MAX)?;
            within(&of("the type"), &column.clickhouse_type, 1, TYPE_BYTES_MAX)?;
        }
    }
    Ok(())
}

fn within(what: &str, text: &str, min: usize, max: usize) -> Result<(), String> {
    if (min..=max).contains(&text.len()) { Ok(()) } else { Err(format!("{what} must have {min} to {max} bytes")) }
}
