//! Write a tidegate processor: one type, one trait.
//!
//! A processor turns each message of a Kafka topic into rows, a replacement, a rewrite, a skip or a rejection. It runs as a
//! WebAssembly component in a sandbox without files, network, clock or randomness; the host calls it with batches,
//! validates every row, and dead-letters what it rejects.
//!
//! ```
//! use serde::Deserialize;
//! use tidegate_processor::{Manifest, Message, NoConfig, Outcome, Processor, Rejection, Row, Rows, export};
//!
//! /// A message, and the row that it becomes: each field is a column.
//! #[derive(Deserialize, Row)]
//! struct Event {
//!     id: u64,
//!     name: Option<String>,
//! }
//!
//! struct Events;
//!
//! impl Processor for Events {
//!     type Config = NoConfig;
//!
//!     fn manifest() -> Manifest {
//!         Manifest::new("events", env!("CARGO_PKG_VERSION")).output_of::<Event>("events")
//!     }
//!
//!     fn new(_config: NoConfig, _topics: &[String]) -> Result<Self, String> {
//!         Ok(Events)
//!     }
//!
//!     fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
//!         let event: Event = serde_json::from_slice(message.payload()?)?;
//!         rows.write(0, &event)?;
//!         Ok(Outcome::Rows)
//!     }
//! }
//!
//! export!(Events);
//! # fn main() {}
//! ```
//!
//! [`Record`] says how fields become columns. [`Rows::begin`] writes a row column by column, for what no struct describes.
//!
//! Build it with `cargo build --target wasm32-unknown-unknown` and the flags of `docs/decisions/0003-guest-build-flags.md`.

mod encode;
mod manifest;
mod message;
mod outcome;
pub mod record;
mod row;
mod runner;
pub mod sql;
#[cfg(feature = "testkit")]
pub mod testkit;
mod text;
mod voice;

pub use encode::{Date, Date32, DateTime, DateTime64, Decimal, Encode, Enum8, Enum16, FixedString, Parts, Uuid, Wide};
pub use manifest::{Manifest, NoConfig, Wants};
pub use message::{Header, Message};
pub use outcome::{Outcome, Rejection, Rewrite};
pub use record::{ColumnType, Record};
pub use row::{Row, Rows};
pub use runner::Runner;
pub use tidegate_processor_derive::{Enum8, Enum16, Row};
pub use voice::{Level, count, log};

/// The generated bindings: the batch a host hands over and the answer it gets. For those who call a [`Runner`]
/// themselves, as a benchmark does; a processor does not need them.
#[allow(missing_docs)]
pub mod contract {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "message-processor",
        pub_export_macro: true,
        default_bindings_module: "tidegate_processor::contract",
    });

    pub use tidegate::processor::types::*;
}

/// What an author writes.
///
/// A processor is a pure function of its configuration and the message: the host may repeat a call in another
/// instance, split a batch anywhere, or drop the instance at any time. `&mut self` is for caches and buffers.
pub trait Processor: Sized {
    /// The processor's own settings, read from the pipeline's `params` by serde. Use [`NoConfig`] for none.
    type Config: serde::de::DeserializeOwned;

    /// Says what the processor is: its name, its outputs with their columns, and which parts of a message it wants.
    fn manifest() -> Manifest;

    /// Called once for each instance.
    ///
    /// # Errors
    /// The text reaches the operator; the configuration is refused.
    fn new(config: Self::Config, topics: &[String]) -> Result<Self, String>;

    /// Processes one message. Rows that were ended count only if the answer is [`Outcome::Rows`] or
    /// [`Outcome::Rewrite`].
    ///
    /// # Errors
    /// The message goes to the dead-letter topic with the reason; nothing it wrote remains.
    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection>;
}

/// Makes a component of a [`Processor`]: call it once, at the top of the crate. Natively it does nothing, so the same
/// crate is tested without a host.
#[macro_export]
macro_rules! export {
    ($processor:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::contract::exports::tidegate::processor::processor::{
                Batch, Config, Guest, Manifest, Processed,
            };

            struct Component;

            ::std::thread_local! {
                static RUNNER: ::std::cell::RefCell<Option<$crate::Runner<$processor>>> =
                    const { ::std::cell::RefCell::new(None) };
            }

            impl Guest for Component {
                fn describe() -> Manifest {
                    $crate::Runner::<$processor>::describe()
                }

                fn init(config: Config) -> Result<(), String> {
                    let runner = $crate::Runner::<$processor>::new(&config.params, config.topics)?;
                    RUNNER.with_borrow_mut(|slot| *slot = Some(runner));
                    Ok(())
                }

                fn process(batch: Batch) -> Processed {
                    RUNNER.with_borrow_mut(|slot| slot.as_mut().expect("init comes first").process(&batch))
                }
            }

    $crate::contract::export!(Component with_types_in $crate::contract);
        };
    };
}
