//! What a processor may say: log lines and counters. Natively, outside of a host, nobody listens.

pub use crate::contract::tidegate::processor::host::Level;

/// Writes a log line. The host limits how many and how long.
pub fn log(level: Level, text: &str) {
    if cfg!(target_arch = "wasm32") {
        crate::contract::tidegate::processor::host::log(level, text);
    }
}

/// Adds to a counter of the processor's own, exported under its name. The host limits how many names there are.
pub fn count(name: &str, delta: u64) {
    if cfg!(target_arch = "wasm32") {
        crate::contract::tidegate::processor::host::count(name, delta);
    }
}

/// A panic becomes a trap; its message would be lost without this.
pub(crate) fn report_panics() {
    if cfg!(target_arch = "wasm32") {
        std::panic::set_hook(Box::new(|panic| log(Level::Error, &panic.to_string())));
    }
}
