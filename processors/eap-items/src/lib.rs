//! Trace items (spans, logs, metrics and more): topic `snuba-items`, table `eap_items`. README.md says where it differs
//! from the reference.

mod attributes;
mod item;
mod row;

use prost::Message as _;
use tidegate_processor::{Manifest, Message, NoConfig, Outcome, Processor, Rejection, Rows, Wants, export};

use item::TraceItem;

/// The processor.
#[derive(Debug)]
pub struct EapItems;

impl Processor for EapItems {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        let columns = row::columns();
        let columns: Vec<_> = columns.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
        Manifest::new("eap-items", env!("CARGO_PKG_VERSION")).output("eap_items", &columns).wants(Wants::OFFSETS)
    }

    fn new(_config: NoConfig, _topics: &[String]) -> Result<Self, String> {
        Ok(Self)
    }

    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
        let item = TraceItem::decode(message.payload()?).map_err(|error| error.to_string())?;
        if let Some(received) = &item.received {
            rows.received(received.milliseconds());
        }
        row::write(&item, message, rows)?;
        Ok(Outcome::Rows)
    }
}

export!(EapItems);
