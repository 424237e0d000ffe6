//! Functions of profiles: topic `profiles-call-tree`, table `functions_raw`. README.md says where it differs from the
//! reference.

mod call_tree;
mod row;

use shared::{epoch, payload};
use tidegate_processor::{Manifest, Message, NoConfig, Outcome, Processor, Rejection, Rows, export};

use call_tree::CallTree;

/// The processor.
#[derive(Debug)]
pub struct Functions;

impl Processor for Functions {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("functions", env!("CARGO_PKG_VERSION")).output("functions_raw", row::COLUMNS)
    }

    fn new(_config: NoConfig, _topics: &[String]) -> Result<Self, String> {
        Ok(Self)
    }

    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
        let tree: CallTree<'_> = payload::object(message)?;
        if tree.functions.is_empty() {
            return Ok(Outcome::Skipped);
        }
        epoch::received(rows, tree.received);
        for function in &tree.functions {
            row::write(&tree, function, rows)?;
        }
        Ok(Outcome::Rows)
    }
}

export!(Functions);
