//! The brokers, and what is wrong with the properties of their clients.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::check::Found;
use super::error::{Problem, hint};
use super::{Property, Text};
use crate::kafka::refusal;

/// The brokers that every pipeline reads from and publishes to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    /// `host:port`, several separated by commas.
    pub brokers: Text,
    /// Any property of librdkafka; those that tidegate decides are refused. Secrets by reference.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Property>")]
    pub properties: BTreeMap<String, Spanned<Property>>,
}

/// Properties that decide correctness; changing them would lose or double rows.
const OURS: &[&str] = &[
    "group.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "auto.offset.reset",
    "bootstrap.servers",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "acks",
    "request.required.acks",
    "enable.idempotence",
];
/// Properties that are paths; a relative one starts at the configuration file.
const FILES: &[&str] =
    &["ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.keystore.location", "ssl.crl.location"];
/// What a path may be instead: look where systems keep their certificates.
const PROBE: &str = "probe";
const PROTOCOLS: &[&str] = &["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];
/// What this program can do; the others need libraries that it does not have.
const MECHANISMS: &[&str] = &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// Properties that are not written into a file, by the endings of librdkafka's names.
fn is_secret(property: &str) -> bool {
    let endings = [".password", ".passphrase", ".secret", ".key.pem"];
    endings.iter().any(|ending| property.ends_with(ending)) || property == "sasl.oauthbearer.config"
}

impl Kafka {
    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        for (name, property) in &mut self.properties {
            if let Property::Literal(Text(path)) = &mut property.value
                && is_path(name, path)
            {
                *path = folder.join(&path).display().to_string();
            }
        }
    }

    /// Files that are not there.
    pub(super) fn missing_files(&self) -> impl Iterator<Item = Problem> {
        self.properties.iter().filter_map(|(name, property)| {
            let Property::Literal(Text(path)) = &property.value else { return None };
            let error = is_path(name, path).then(|| File::open(path).err()).flatten()?;
            let text = format!("kafka property {name:?}: the file {path:?} cannot be read: {error}");
            let hint = "put it there, or correct the path; it starts at the configuration file";
            Some(Problem::new(property.referenced, text, Some(hint.into())))
        })
    }

    /// As written, if it is.
    fn literal(&self, property: &str) -> Option<&str> {
        match &self.properties.get(property)?.value {
            Property::Literal(text) => Some(text.as_str()),
            Property::Secret(_) => None,
        }
    }
}

fn is_path(property: &str, value: &str) -> bool {
    FILES.contains(&property) && value != PROBE
}

impl Found {
    pub(super) fn kafka(&mut self, kafka: &Kafka) {
        for (name, property) in &kafka.properties {
            if OURS.contains(&name.as_str()) {
                let text = format!("kafka property {name:?} is decided by tidegate");
                self.at(property, text, "remove it; what it guards is nothing lost and nothing ahead of itself");
                continue;
            }
            let Property::Literal(Text(value)) = &property.value else { continue };
            if is_secret(name) {
                let text = format!("the secret {name:?} is written here");
                self.at(property, text, format!("refer to it: {name}: {{env: NAME}} or {{file: PATH}}"));
            } else if let Some(why) = refusal(name, value) {
                let text = format!("kafka property {name:?} is not taken: {why}");
                self.at(property, text, "librdkafka's CONFIGURATION.md has the names, and what each may be");
            }
        }
        self.security(kafka);
    }

    /// librdkafka passes over what its protocol does not use, and would speak in the clear.
    fn security(&mut self, kafka: &Kafka) {
        let protocol = match kafka.properties.get("security.protocol").map(|property| &property.value) {
            None => "plaintext".to_owned(),
            Some(Property::Literal(Text(protocol))) => protocol.to_lowercase(),
            Some(Property::Secret(_)) => return,
        };
        if !PROTOCOLS.contains(&protocol.as_str()) {
            // librdkafka has refused it.
            return;
        }
        for (part, used, way_out) in [
            ("ssl.", protocol.ends_with("ssl"), "write security.protocol: ssl, or sasl_ssl"),
            (
                "sasl.",
                protocol.starts_with("sasl"),
                "write security.protocol: sasl_ssl; sasl_plaintext shows it to the network",
            ),
        ] {
            let first = kafka.properties.iter().find(|(name, _)| name.starts_with(part) && !used);
            if let Some((name, property)) = first {
                let text = format!("kafka property {name:?} does nothing where security.protocol is {protocol}");
                self.at(property, text, way_out);
            }
        }
        self.identity(kafka);
        if protocol.starts_with("sasl") {
            self.mechanism(kafka);
        }
    }

    fn identity(&mut self, kafka: &Kafka) {
        let any = |names: [&str; 2]| names.iter().find_map(|name| kafka.properties.get(*name));
        let certificate = any(["ssl.certificate.location", "ssl.certificate.pem"]);
        let key = any(["ssl.key.location", "ssl.key.pem"]);
        let (Some(half), true) = (certificate.or(key), certificate.is_none() || key.is_none()) else { return };
        let way_out = "write both ssl.certificate.location and ssl.key.location";
        self.at(half, "kafka has half of a client certificate".into(), way_out);
    }

    fn mechanism(&mut self, kafka: &Kafka) {
        let names = ["sasl.mechanism", "sasl.mechanisms"];
        let Some((name, property)) = names.iter().find_map(|name| kafka.properties.get_key_value(*name)) else {
            let text = "kafka has SASL without a sasl.mechanism".to_owned();
            let way_out = format!("write sasl.mechanism: {}", MECHANISMS.join(" or "));
            return self.at(&kafka.properties["security.protocol"], text, way_out);
        };
        if let Some(given) = kafka.literal(name).filter(|given| !MECHANISMS.contains(given)) {
            let text = format!("kafka property {name:?} is {given:?}, which this program cannot do");
            self.at(property, text, hint(given, MECHANISMS, "mechanisms"));
        }
    }
}
