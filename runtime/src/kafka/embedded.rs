//! A broker in this process, for `tidegate dev`: librdkafka's mock cluster. It speaks the protocol, keeps 5 MiB per
//! partition, and forgets everything at the end.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::Error;

/// Answers on a port of the loopback until dropped.
pub struct EmbeddedBroker(MockCluster<'static, DefaultProducerContext>);

impl EmbeddedBroker {
    /// # Errors
    /// If librdkafka cannot make one.
    pub fn start() -> Result<Self, Error> {
        MockCluster::new(1).map(Self).map_err(|error| Error::Client(error.to_string()))
    }

    pub fn bootstrap(&self) -> String {
        self.0.bootstrap_servers()
    }

    /// # Errors
    /// If the topic cannot be made. One that is there already is left as it is.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<(), Error> {
        match self.0.create_topic(name, partitions, 1) {
            Err(error) if error.rdkafka_error_code() != Some(rdkafka::types::RDKafkaErrorCode::TopicAlreadyExists) => {
                Err(Error::Client(format!("topic {name:?}: {error}")))
            }
            _ => Ok(()),
        }
    }
}
