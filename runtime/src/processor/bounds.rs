//! Bounds of what a module may be and may say of itself, checked before the host spends time or memory on it.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use wasmparser::{BlockType, FunctionBody, Operator, Parser, Payload};

use super::contract::Manifest;

/// A component of this size takes a minute to compile. Those of Python, the largest known, have 18.5 MB.
const COMPONENT_BYTES_MAX: usize = 32 << 20;
/// Each costs the compiler some 6 KB. Python's has 20,000.
const FUNCTIONS_MAX: u32 = 100_000;
/// The body of a function: the compiler's time and memory grow faster than it. The largest known, the loops of
/// interpreters, have 200 KB.
const FUNCTION_BYTES_MAX: usize = 512 << 10;
/// Variables of a function times the places where control comes together in it: the compiler may keep a value for each
/// pair, 110 bytes.
const MEETINGS_MAX: u64 = 4_000_000;
/// What a block may take and give with a type of its own.
const BLOCK_VALUES_MAX: u64 = 1000;

const NAME_BYTES_MAX: usize = 100;
const VERSION_BYTES_MAX: usize = 100;
const SELF_TEST_BYTES_MAX: usize = 4 << 20;
const OUTPUTS_MAX: usize = 100;
/// Of an output or a column.
const LABEL_BYTES_MAX: usize = 200;
const COLUMNS_MAX: usize = 2000;
const TYPE_BYTES_MAX: usize = 10_000;

/// The bytes of a file, and no more of it than tells that they are too many for a module.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut wasm = Vec::new();
    fs::File::open(path)?.take(COMPONENT_BYTES_MAX as u64 + 1).read_to_end(&mut wasm)?;
    Ok(wasm)
}

/// What the compiler would be at for too long. Whether it is a component at all is for the compiler to say.
pub(super) fn check_code(wasm: &[u8]) -> Result<(), String> {
    if wasm.len() > COMPONENT_BYTES_MAX {
        return Err(format!("it has more than {COMPONENT_BYTES_MAX} bytes"));
    }
    if !Parser::is_component(wasm) && !Parser::is_core_wasm(wasm) {
        return Err("it is not WebAssembly".into());
    }
    if !Parser::is_component(wasm) {
        return Err("it is a core module, not a component\n\
             hint: link it as one (wasm-component-ld), or wrap it (wasm-tools component new)"
            .into());
    }
    let mut functions: u32 = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        // What cannot be parsed is refused by the compiler, which says it in full.
        let Ok(payload) = payload else { return Ok(()) };
        let Payload::CodeSectionEntry(body) = payload else { continue };
        let (at, bytes) = (body.range().start, body.range().len());
        if bytes > FUNCTION_BYTES_MAX {
            return Err(format!("the function at byte {at} has {bytes} bytes and may have {FUNCTION_BYTES_MAX}"));
        }
        check_meetings(&body).map_err(|error| format!("the function at byte {at} has {error}"))?;
        functions += 1;
        if functions > FUNCTIONS_MAX {
            return Err(format!("it has more than {FUNCTIONS_MAX} functions"));
        }
    }
    Ok(())
}

fn check_meetings(body: &FunctionBody<'_>) -> Result<(), String> {
    let (mut places, mut variables) = (0, 1);
    let Ok(operators) = body.get_operators_reader() else { return Ok(()) };
    for operator in operators.into_iter().map_while(Result::ok) {
        match operator {
            Operator::LocalGet { local_index }
            | Operator::LocalSet { local_index }
            | Operator::LocalTee { local_index } => {
                variables = variables.max(u64::from(local_index) + 1);
            }
            Operator::Loop { blockty } | Operator::Block { blockty } | Operator::If { blockty } => {
                places += if matches!(blockty, BlockType::FuncType(_)) { BLOCK_VALUES_MAX } else { 1 };
            }
            _ => {}
        }
    }
    let meetings = places * variables;
    if meetings > MEETINGS_MAX {
        return Err(format!("{places} places where {variables} variables may meet, too many to compile"));
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
