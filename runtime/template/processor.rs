//! {{name}}: messages of a topic become rows of the table `{{table}}`.

use serde::Deserialize;
use tidegate_processor::{
    {{imports}},
};

{{structs}}
/// The processor.
#[derive(Debug)]
pub struct {{type}};

impl Processor for {{type}} {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("{{name}}", env!("CARGO_PKG_VERSION")).output_of::<Event>("{{table}}")
    }

    fn new(_config: NoConfig, _topics: &[String]) -> Result<Self, String> {
        Ok(Self)
    }

    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
        let event: Event = serde_json::from_slice(message.payload()?)?;
        rows.write(0, &event)?;
        Ok(Outcome::Rows)
    }
}

export!({{type}});
