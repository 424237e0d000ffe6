//! Publishing with acknowledgement of all in-sync replicas.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::util::Timeout;

use super::trouble::Trouble;
use super::{Brokers, Error, Role};
use crate::publish::{Publish, PublishError, Record};

/// An idempotent producer, made anew after an error that it cannot survive.
#[derive(Clone)]
pub struct Publisher {
    brokers: Brokers,
    config: ClientConfig,
    producer: Arc<Mutex<FutureProducer<Trouble>>>,
}

impl Publisher {
    /// # Errors
    /// If the client cannot be made of these settings.
    pub fn new(brokers: &Brokers) -> Result<Self, Error> {
        let mut config = brokers.config(
            Role::Producer,
            &[
                ("linger.ms", "1"),
                ("message.timeout.ms", "30000"),
                // Below the timeout, so that a topic that is not there is told from a broker that is not.
                ("topic.metadata.propagation.max.ms", "10000"),
                ("compression.type", "lz4"),
                // What is too large for a topic is for its brokers to say; librdkafka would refuse what came from Kafka.
                ("message.max.bytes", "1000000000"),
                // A project's replacements stay on one partition, as with the reference's producers.
                ("partitioner", "consistent_random"),
            ],
        );
        config.set("acks", "all").set("enable.idempotence", "true");
        let producer =
            config.create_with_context(Trouble::new(brokers)).map_err(|error| Error::Client(error.to_string()))?;
        Ok(Self { brokers: brokers.clone(), config, producer: Arc::new(Mutex::new(producer)) })
    }

    fn producer(&self) -> FutureProducer<Trouble> {
        self.producer.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// A fatal error stays: with this client nothing would ever be published again.
    fn make_anew(&self) {
        match self.config.create_with_context(Trouble::new(&self.brokers)) {
            Ok(producer) => *self.producer.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = producer,
            Err(error) => tracing::error!(%error, "no new producer to be had"),
        }
    }

    /// Makes the first publish as quick as the others: metadata of the topics is asked for now.
    pub async fn warm_up(&self, topics: Vec<String>) {
        let producer = self.producer();
        let warmed = tokio::task::spawn_blocking(move || {
            for topic in topics {
                if let Err(error) = producer.client().fetch_metadata(Some(&topic), Duration::from_secs(10)) {
                    tracing::warn!(topic, %error, "metadata not to be had yet");
                    // Nor would there be any of the others.
                    break;
                }
            }
        });
        let _ = warmed.await;
    }
}

impl Publish for Publisher {
    fn publish(&self, record: Record) -> impl Future<Output = Result<(), PublishError>> + Send {
        let this = self.clone();
        async move {
            let producer = this.producer();
            let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
            for (name, value) in &record.headers {
                headers = headers.insert(Header { key: name, value: Some(value) });
            }
            let mut message: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(&record.topic).headers(headers);
            if let Some(key) = &record.key {
                message = message.key(key);
            }
            if let Some(value) = &record.value {
                message = message.payload(value);
            }
            match producer.send(message, Timeout::Never).await {
                Ok(_) => Ok(()),
                Err((error, _)) => {
                    if producer.client().fatal_error().is_some() {
                        this.make_anew();
                    }
                    let hold = needs_somebody(&error);
                    Err(PublishError { hold, cause: error.to_string(), topic: record.topic.clone() })
                }
            }
        }
    }
}

fn needs_somebody(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        ClusterAuthorizationFailed, MessageSizeTooLarge, TopicAuthorizationFailed, UnknownPartition, UnknownTopic,
        UnknownTopicOrPartition,
    };
    matches!(
        error.rdkafka_error_code(),
        Some(
            ClusterAuthorizationFailed
                | MessageSizeTooLarge
                | TopicAuthorizationFailed
                | UnknownPartition
                | UnknownTopic
                | UnknownTopicOrPartition
        )
    )
}
