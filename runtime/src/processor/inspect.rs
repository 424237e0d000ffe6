//! What can be seen of a module from outside, before and without running it.

use std::path::Path;
use std::time::{Duration, Instant};

use wasmparser::{Encoding, Parser, Payload};

use super::Engine;
use super::module::{self, LoadError, Module};
use crate::digest::Digest;

/// What a module is; its manifest is in `module`, if it can be used.
#[derive(Debug)]
pub struct Inspection {
    pub digest: Digest,
    pub size_bytes: usize,
    pub is_component: bool,
    /// Version of `tidegate:processor` that it was built for.
    pub contract: Option<String>,
    pub imports: Vec<Import>,
    /// Of all core modules within.
    pub memories: Vec<Memory>,
    /// Compiling, or taking the code from the cache, and describing.
    pub load_time: Duration,
    pub was_cached: bool,
    pub module: Result<Module, LoadError>,
}

/// An interface or a function that a module asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    pub name: String,
    /// What is not becomes a trap.
    pub is_provided: bool,
}

/// A linear memory as it is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub bytes_min: u64,
    pub bytes_max: Option<u64>,
}

const OURS: &str = "tidegate:processor/";
const PAGE_BYTES: u64 = 64 << 10;

/// What the bytes say.
#[derive(Debug, Default, PartialEq)]
struct Anatomy {
    is_component: bool,
    imports: Vec<String>,
    exports: Vec<String>,
    memories: Vec<Memory>,
}

impl Inspection {
    /// # Errors
    /// If the file cannot be read, or is no WebAssembly.
    pub fn of(engine: &Engine, path: &Path, cache: &Path) -> Result<Self, LoadError> {
        let wasm = std::fs::read(path).map_err(|error| LoadError::Read { path: path.into(), error })?;
        let anatomy = Anatomy::of(&wasm).map_err(|error| LoadError::Compile {
            origin: path.display().to_string(),
            error: format!("it is no WebAssembly: {error}"),
        })?;
        let digest = Digest::of(&wasm);
        let was_cached = module::code_file(engine, digest, cache).exists();
        let started = Instant::now();
        let module = Module::load(engine, path, cache);
        Ok(Self {
            digest,
            size_bytes: wasm.len(),
            is_component: anatomy.is_component,
            contract: anatomy.contract(),
            imports: anatomy
                .imports
                .iter()
                .map(|name| Import { name: name.clone(), is_provided: is_ours(name) })
                .collect(),
            memories: anatomy.memories,
            load_time: started.elapsed(),
            was_cached,
            module,
        })
    }
}

impl Anatomy {
    fn of(wasm: &[u8]) -> wasmparser::Result<Self> {
        let mut anatomy = Self::default();
        // Modules and components within the outermost one.
        let mut depth = 0usize;
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::Version { encoding, .. } if depth == 0 => {
                    anatomy.is_component = encoding == Encoding::Component;
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(imports) if depth == 0 => {
                    for import in imports {
                        anatomy.imports.push(import?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(exports) if depth == 0 => {
                    for export in exports {
                        anatomy.exports.push(export?.name.name.to_owned());
                    }
                }
                Payload::ImportSection(imports) if depth == 0 => {
                    for import in imports.into_imports() {
                        let import = import?;
                        anatomy.imports.push(format!("{} {}", import.module, import.name));
                    }
                }
                Payload::MemorySection(memories) => {
                    for memory in memories {
                        let memory = memory?;
                        let bytes = |pages: u64| pages.saturating_mul(PAGE_BYTES);
                        let (bytes_min, bytes_max) = (bytes(memory.initial), memory.maximum.map(bytes));
                        anatomy.memories.push(Memory { bytes_min, bytes_max });
                    }
                }
                _ => {}
            }
        }
        Ok(anatomy)
    }

    fn contract(&self) -> Option<String> {
        let names = self.exports.iter().chain(&self.imports);
        names.filter_map(|name| Some(name.strip_prefix(OURS)?.split_once('@')?.1.to_owned())).next()
    }
}

/// What the host provides is linked by compatible version, as wasmtime does.
fn is_ours(name: &str) -> bool {
    let Some((interface, version)) = name.strip_prefix(OURS).and_then(|rest| rest.split_once('@')) else {
        return false;
    };
    ["host", "types"].contains(&interface) && version.starts_with("0.1.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_interfaces_of_this_contract_are_provided() {
        assert!(is_ours("tidegate:processor/host@0.1.0") && is_ours("tidegate:processor/types@0.1.3"));
        assert!(!is_ours("tidegate:processor/host@0.2.0") && !is_ours("wasi:io/streams@0.2.6"));
    }

    #[test]
    fn what_is_no_webassembly_is_refused() {
        assert!(Anatomy::of(b"MZ").is_err());
        let empty = Anatomy::of(b"\0asm\x01\0\0\0").unwrap();
        assert_eq!(empty, Anatomy::default());
    }
}
