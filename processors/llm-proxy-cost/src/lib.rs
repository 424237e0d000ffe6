//! Costs of language models: topic `snuba-llm-proxy-cost`, table `llm_proxy_cost_raw`. README.md says where it differs
//! from the reference.

mod call;
mod row;

use shared::payload;
use tidegate_processor::{Manifest, Message, NoConfig, Outcome, Processor, Rejection, Rows, export};

use call::Call;

/// The processor.
#[derive(Debug)]
pub struct LlmProxyCost;

impl Processor for LlmProxyCost {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("llm-proxy-cost", env!("CARGO_PKG_VERSION")).output("llm_proxy_cost", row::COLUMNS)
    }

    fn new(_config: NoConfig, _topics: &[String]) -> Result<Self, String> {
        Ok(Self)
    }

    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
        let call: Call<'_> = payload::object(message)?;
        row::write(&call, message.now_ms(), rows)?;
        Ok(Outcome::Rows)
    }
}

export!(LlmProxyCost);
