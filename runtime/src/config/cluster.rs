//! ClickHouse clusters: their hosts, and whom to trust there.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;
use tidegate_client::Consistency;

use super::check::Found;
use super::error::Problem;
use super::{Config, Duration, Profile, Reference, Storage, StorageBatch, Text};
use crate::clickhouse;

/// A ClickHouse cluster, reached over HTTP.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// `http://host:port` or `https://host:port`, in order of preference: the first that can be reached is used.
    #[schemars(with = "Vec<String>")]
    pub hosts: Spanned<Vec<Text>>,
    /// Whom to trust at `https://` hosts, and what to show them.
    #[serde(default)]
    #[schemars(with = "Option<Tls>")]
    pub tls: Option<Spanned<Tls>>,
    #[serde(default = "Text::default_word")]
    pub database: Text,
    #[serde(default = "Text::default_word")]
    pub user: Text,
    /// By reference: `{env: NAME}` or `{file: PATH}`.
    #[serde(default)]
    #[schemars(with = "Option<Reference>")]
    pub password: Option<Spanned<Reference>>,
    /// How long one request may take.
    #[serde(default = "Duration::minute")]
    pub timeout: Duration,
}

/// Files in PEM format; a relative path starts at the configuration file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Certificates of the authorities that are trusted, and no others; Mozilla's list without it.
    pub ca: Option<Text>,
    /// The client's certificate, with those between it and its authority.
    pub certificate: Option<Text>,
    /// The certificate's private key.
    pub key: Option<Text>,
    #[serde(skip)]
    read: clickhouse::Tls,
}

impl Cluster {
    pub fn settings(&self) -> clickhouse::Settings {
        clickhouse::Settings {
            hosts: self.hosts.value.iter().map(|host| host.0.clone()).collect(),
            tls: self.tls.as_ref().map(|tls| tls.value.read.clone()).unwrap_or_default(),
            database: self.database.0.clone(),
            user: self.user.0.clone(),
            password: self.password.as_ref().map(|secret| secret.value.value()).unwrap_or_default(),
            timeout: self.timeout.0,
        }
    }

    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        let Some(Tls { ca, certificate, key, .. }) = self.tls.as_mut().map(|tls| &mut tls.value) else { return };
        for Text(path) in [ca, certificate, key].into_iter().flatten() {
            *path = folder.join(&path).display().to_string();
        }
    }

    /// Reads the files of `tls`.
    pub(super) fn read_files(&mut self) -> Option<Problem> {
        let tls = self.tls.as_mut()?;
        let path = |text: &'_ Option<Text>| text.as_ref().map(|text| text.0.clone().into());
        let Tls { ca, certificate, key, .. } = &tls.value;
        let files = clickhouse::TlsFiles { ca: path(ca), certificate: path(certificate), key: path(key) };
        match clickhouse::Tls::read(&files) {
            Ok(read) => tls.value.read = read,
            Err(error) => {
                let hint = "put the PEM file there, or correct the path; it starts at the configuration file";
                return Some(Problem::new(tls.referenced, error.to_string(), Some(hint.into())));
            }
        }
        None
    }
}

impl Found {
    pub(super) fn clusters(&mut self, config: &Config) {
        for (name, cluster) in &config.clickhouse {
            if cluster.hosts.value.is_empty() {
                let text = format!("cluster {name:?} has no hosts");
                self.at(&cluster.hosts, text, "write hosts: [\"http://host:8123\"]");
            }
            for host in &cluster.hosts.value {
                if host.0.contains('@') {
                    let text = format!("cluster {name:?} has a host with a user or a password in its URL");
                    self.at(&cluster.hosts, text, "write user: and password: beside hosts:");
                } else if !host.0.starts_with("http://") && !host.0.starts_with("https://") {
                    let text = format!("cluster {name:?} has host {:?}", host.0);
                    self.at(&cluster.hosts, text, "a host is http://HOST:PORT or https://HOST:PORT");
                }
            }
            self.tls(name, cluster);
        }
        for (name, storage) in &config.storages {
            self.known(&storage.cluster, &config.clickhouse, &format!("storage {name:?}"), "cluster");
            let StorageBatch { rows, bytes } = &storage.batch;
            if rows.is_some_and(|rows| rows.0 == 0) || bytes.is_some_and(|bytes| bytes.0 == 0) {
                let text = format!("storage {name:?} takes batches of nothing");
                self.at(&storage.cluster, text, "write rows: and bytes: of 1 at least, or leave them out");
            }
        }
        self.consistency(config);
    }

    /// What would promise something to readers that inserts do not keep, and what nobody would notice.
    fn consistency(&mut self, config: &Config) {
        let mut tables: BTreeMap<_, (&str, Profile)> = BTreeMap::new();
        for (name, storage) in &config.storages {
            let Storage { cluster, consistency, .. } = storage;
            let Some(Cluster { hosts, database, .. }) = config.clickhouse.get(&cluster.value.0) else { continue };
            if consistency.value.0 == Consistency::ShardLocal && hosts.value.len() > 1 {
                let text =
                    format!("storage {name:?} is shard-local, and cluster {:?} has several hosts", cluster.value.0);
                let hint = "readers look at one node, so all rows must go there: give each node a cluster of its own";
                self.at(consistency, text, hint);
            }
            let table = storage.table.0.as_str();
            let (database, table) = table.split_once('.').unwrap_or((&database.0, table));
            let key = (&cluster.value.0, database, table);
            let (other, theirs) = *tables.entry(key).or_insert((name, consistency.value));
            if theirs != consistency.value {
                let text = format!(
                    "storages {other:?} and {name:?} are one table, written with consistency {} and {}",
                    theirs.0, consistency.value.0
                );
                self.at(
                    consistency,
                    text,
                    "what is inserted with the weaker one breaks the promise of the other: give both the same",
                );
            }
        }
    }

    fn tls(&mut self, name: &str, cluster: &Cluster) {
        let Some(tls) = &cluster.tls else { return };
        if tls.value.certificate.is_some() != tls.value.key.is_some() {
            let text = format!("cluster {name:?} has half of a client certificate");
            self.at(tls, text, "write both tls.certificate and tls.key");
        }
        if let Some(host) = cluster.hosts.value.iter().find(|host| !host.0.starts_with("https://")) {
            let text = format!("cluster {name:?} has tls, and host {:?} without it", host.0);
            self.at(&cluster.hosts, text, "write https:// and its HTTPS port, or leave out tls");
        }
    }
}
