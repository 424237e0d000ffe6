//! What goes wrong between librdkafka and the brokers, in words that name the broker and the property to mend.

use std::sync::{Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use super::Brokers;

/// A client's callbacks: logs what goes wrong and remembers the last of it.
pub(super) struct Trouble {
    brokers: String,
    last: Mutex<Option<String>>,
}

/// What librdkafka or OpenSSL say, and what somebody has to do. The first that fits is told.
const WAYS_OUT: &[(&str, &str)] = &[
    (
        "certificate verify failed",
        "ssl.ca.location must name the authority of the brokers' certificates, which must be valid and name the host",
    ),
    ("certificate required", WANTS_A_CERTIFICATE),
    ("bad certificate", WANTS_A_CERTIFICATE),
    ("handshake failure", WANTS_A_CERTIFICATE),
    ("certificate unknown", UNKNOWN_TO_BROKERS),
    ("unknown ca", UNKNOWN_TO_BROKERS),
    ("PLAINTEXT broker listener", WRONG_PROTOCOL),
    ("SSL listener", WRONG_PROTOCOL),
    ("wrong version number", WRONG_PROTOCOL),
    ("security.protocol", WRONG_PROTOCOL),
    ("uthentication fail", "mend sasl.username and sasl.password"),
    ("SASL mechanism", "mend sasl.mechanism"),
    ("in state SSL_HANDSHAKE", WRONG_PROTOCOL),
];
const WANTS_A_CERTIFICATE: &str =
    "the broker wants a certificate that it trusts: ssl.certificate.location with ssl.key.location";
const UNKNOWN_TO_BROKERS: &str = "the brokers do not know the authority of ssl.certificate.location";
const WRONG_PROTOCOL: &str =
    "security.protocol must be that of the listener: plaintext, ssl, sasl_plaintext or sasl_ssl";

impl Trouble {
    pub(super) fn new(brokers: &Brokers) -> Self {
        Self { brokers: brokers.bootstrap.clone(), last: Mutex::default() }
    }

    /// What went wrong last.
    pub(super) fn last(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is to be said of an error. "1/1 brokers are down" only follows from others, which say more; but of a listener
    /// that closes what is not TLS librdkafka says nothing else.
    pub(super) fn tell(&self, error: &KafkaError, reason: &str) -> String {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            return last.insert(explained(reason)).clone();
        }
        let down = || format!("{}: no broker can be reached ({WRONG_PROTOCOL})", self.brokers);
        last.get_or_insert_with(down).clone()
    }
}

impl ClientContext for Trouble {
    fn error(&self, error: KafkaError, reason: &str) {
        // Remembered whatever is logged.
        let text = self.tell(&error, reason);
        tracing::warn!(error = text, "kafka client");
    }
}

impl ConsumerContext for Trouble {}

/// The reason, which begins with the broker, and the way out where one is known.
fn explained(reason: &str) -> String {
    match WAYS_OUT.iter().find(|(sign, _)| reason.contains(sign)) {
        Some((_, way_out)) => format!("{reason} ({way_out})"),
        None => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_has_to_mend_is_told_and_is_not_forgotten() {
        let trouble = Trouble::new(&Brokers { bootstrap: "b:9093".into(), ..Brokers::default() });
        let down = KafkaError::Global(RDKafkaErrorCode::AllBrokersDown);
        assert!(
            trouble
                .tell(&down, "1/1 brokers are down")
                .starts_with("b:9093: no broker can be reached (security.protocol")
        );
        let refused = "sasl_ssl://b:9093/bootstrap: SASL authentication error: Authentication failed";
        let told = trouble.tell(&KafkaError::Global(RDKafkaErrorCode::Authentication), refused);
        assert_eq!(told, format!("{refused} (mend sasl.username and sasl.password)"));
        assert_eq!(trouble.tell(&down, "1/1 brokers are down"), told);
        assert_eq!(trouble.last(), Some(told));
        assert_eq!(explained("b:9092/1: Connect failed: refused"), "b:9092/1: Connect failed: refused");
    }
}
