//! Where rows go: from the outputs of a module to the storages of its pipeline.

use std::sync::Arc;

/// Which storages each output of a module goes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Routes {
    /// A storage of two outputs has two sets of columns, so it is here twice.
    pub storages: Vec<Route>,
    /// Per output of the module, indexes into `storages`.
    pub outputs: Vec<Vec<usize>>,
}

/// An output on its way into a storage: its blocks have columns and tokens of their own.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub output: String,
    pub storage: String,
    /// Index of the storage among the pipeline's sinks.
    pub sink: usize,
    /// Names of the columns that the output's rows have, in their order.
    pub columns: Arc<[String]>,
}
