//! Publishing to Kafka topics with acknowledgement: replacements, dead letters, commit-log records.
//! Two publishers exist: Kafka (`kafka::publisher`) and the one of the simulation.

use std::sync::Arc;

/// One message to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub topic: Arc<str>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
}

/// Publishes records. `Ok` means that every in-sync replica has it.
pub trait Publish: Send + Sync + 'static {
    fn publish(&self, record: Record) -> impl Future<Output = Result<(), PublishError>> + Send;
}

/// A record that was not acknowledged. It may be published all the same; the caller tries again for ever.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("failed to publish to topic {topic:?}: {cause}")]
pub struct PublishError {
    pub topic: Arc<str>,
    pub cause: String,
    /// True where somebody has to act (unknown topic, no permission, message too large): alert, and try slowly.
    pub hold: bool,
}
