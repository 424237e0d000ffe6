//! Bindings generated from `wit/`. Only this folder sees the generated types.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "message-processor",
    ownership: Borrowing { duplicate_if_necessary: true },
});

pub(super) use self::exports::tidegate::processor::processor::Guest;
pub(super) use self::tidegate::processor::host::{Host, Level};
pub(super) use self::tidegate::processor::types::{Batch, Config, Manifest, Processed, RowFormat, Run, Wants};
