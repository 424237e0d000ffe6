//! What one key says of another: references, duplicates, limits.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::Path;

use serde_saphyr::Spanned;

use super::error::{Problem, hint};
use super::{Config, Pipeline, PolicyName, Text, reason};
use crate::outcome::Reason;

/// Every problem of a configuration that could be parsed.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let mut found = Found(Vec::new());
    match &config.version {
        None => found.0.push(Problem::at_the_start("there is no version", "write version: 1")),
        Some(version) if version.value.0 != 1 => {
            let text = format!("version {} is not known", version.value.0);
            found.at(version, text, "this program reads version 1");
        }
        Some(_) => {}
    }
    found.kafka(&config.kafka);
    found.modules(config);
    found.clusters(config);
    found.admin(config);
    if config.pipelines.value.is_empty() {
        found.at(&config.pipelines, "there are no pipelines".into(), "add one under `pipelines:`");
    }
    for (name, pipeline) in &config.pipelines.value {
        found.pipeline(config, name, pipeline);
    }
    found.topics(config);
    found.0
}

/// More rows than this in one insert would be cut into several blocks by ClickHouse.
const ROWS_MAX: u64 = 1_000_000;

pub(super) struct Found(Vec<Problem>);

impl Found {
    pub(super) fn at<T>(&mut self, place: &Spanned<T>, text: String, hint: impl Into<String>) {
        self.0.push(Problem::new(place.referenced, text, Some(hint.into())));
    }

    fn modules(&mut self, config: &Config) {
        for (name, module) in &config.modules {
            let source = &module.source;
            if let Some(missing) = source.value.missing() {
                let text = format!("module {name:?} names {missing}");
                self.at(source, text, "build it, or correct the path; it starts at the configuration file");
            }
            let Some(auth) = &module.auth else { continue };
            if !auth.value.is_whole() {
                let text = format!("module {name:?} has an auth that is neither a user with a password nor a token");
                self.at(
                    auth,
                    text,
                    "write auth: { user: NAME, password: {env: NAME} } or auth: { token: {env: NAME} }",
                );
            }
            if source.value.is_in_the_clear() && !module.insecure {
                let text = format!("module {name:?} sends its secret over plain HTTP");
                self.at(source, text, "use https://, or write insecure: true if the network is yours");
            }
        }
    }

    fn admin(&mut self, config: &Config) {
        let listen = &config.admin.listen;
        match listen.value.0.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() || config.admin.token.is_some() => {}
            Ok(_) => {
                let text = format!("admin listens on {}, which others can reach", listen.value.0);
                self.at(listen, text, "use 127.0.0.1, or give it a token: {env: NAME} or {file: PATH}");
            }
            Err(_) => {
                let text = format!("admin listens on {:?}, which is no address", listen.value.0);
                self.at(listen, text, "write 127.0.0.1:8650");
            }
        }
    }

    fn pipeline(&mut self, config: &Config, name: &str, pipeline: &Pipeline) {
        let who = format!("pipeline {name:?}");
        self.known(&pipeline.module, &config.modules, &who, "module");
        for (output, storages) in &pipeline.outputs.value {
            for storage in storages {
                self.known(storage, &config.storages, &format!("{who}, output {output:?},"), "storage");
            }
            let mut names: Vec<&str> = storages.iter().map(|storage| storage.value.0.as_str()).collect();
            names.sort_unstable();
            if names.windows(2).any(|pair| pair[0] == pair[1]) {
                let text = format!("{who} sends output {output:?} to one storage twice");
                self.at(&pipeline.outputs, text, "name each storage once; every row would be there twice");
            }
            if storages.is_empty() {
                let text = format!("{who} sends output {output:?} to no storage");
                self.at(&pipeline.outputs, text, "name one storage at least");
            }
        }
        if !(1..=ROWS_MAX).contains(&pipeline.batch.rows.0) {
            let text = format!("{who} has batches of {} rows", pipeline.batch.rows.0);
            self.at(&pipeline.topic, text, format!("1 to {ROWS_MAX} rows make one insert"));
        }
        if pipeline.batch.inserts_in_flight.0 == 0 || pipeline.workers.is_some_and(|workers| workers.0 == 0) {
            let text = format!("{who} may do nothing at a time");
            self.at(&pipeline.topic, text, "inserts_in_flight and workers are 1 at least");
        }
        self.tables(config, &who, pipeline);
        self.intake(&who, pipeline);
        self.breaker(&who, pipeline);
        self.dead_letters(&who, pipeline);
    }

    /// Two storages may be one table.
    fn tables(&mut self, config: &Config, who: &str, pipeline: &Pipeline) {
        for (output, storages) in &pipeline.outputs.value {
            let mut seen = HashMap::new();
            for name in storages {
                let Some(storage) = config.storages.get(&name.value.0) else { continue };
                let table = (&storage.cluster.value.0, &storage.table.0);
                if let Some(other) = seen.insert(table, &name.value.0).filter(|other| **other != name.value.0) {
                    let text = format!(
                        "{who} sends output {output:?} to storages {other:?} and {:?}, which are one table",
                        name.value.0
                    );
                    self.at(name, text, "name one of them; every row would be there twice");
                }
            }
        }
    }

    fn intake(&mut self, who: &str, pipeline: &Pipeline) {
        if let Some(select) = pipeline.select.as_ref().filter(|select| select.value.is_empty()) {
            let text = format!("{who} selects no message");
            self.at(
                select,
                text,
                "write header: { NAME: VALUE }, key: VALUE or key_prefix: VALUE, or [VALUE, VALUE] for one of several",
            );
        }
        let Some(schema) = &pipeline.schema else { return };
        if let Err(error) = crate::schema::Schema::read(Path::new(&schema.file.value.0)) {
            let text = format!("{who} cannot use schema {}: {error}", schema.file.value.0);
            self.at(
                &schema.file,
                text,
                "a schema is one JSON file without references to others; correct it, or the path",
            );
        }
        if schema.enforce && schema.sample.0 < 1.0 {
            let text = format!("{who} enforces its schema on a sample of the messages");
            self.at(&schema.file, text, "what is enforced is checked on every message: leave out sample, or enforce");
        }
    }

    fn breaker(&mut self, who: &str, pipeline: &Pipeline) {
        let window = &pipeline.breaker.window;
        if window.value.0.is_zero() {
            let text = format!("{who} has a breaker with a window of nothing");
            self.at(window, text, "write a time such as 10s, or enabled: false");
        }
    }

    fn dead_letters(&mut self, who: &str, pipeline: &Pipeline) {
        let letters = &pipeline.dead_letters;
        let names: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        for (Text(given), policy) in &letters.value.on {
            if reason(given).is_none() {
                let text = format!("{who} says what to do on {given:?}, which is no reason");
                self.at(policy, text, hint(given, &names, "reasons"));
            }
        }
        let decided = |reason: &str| {
            let policy = letters.value.on.iter().find(|(given, _)| given.0 == reason);
            policy.is_some_and(|(_, policy)| policy.value != PolicyName::DeadLetter)
        };
        if letters.value.topic.is_none() && !names.iter().all(|reason| decided(reason)) {
            let text = format!("{who} has no topic for dead letters");
            self.at(
                letters,
                text,
                "name one under dead_letters.topic, or say skip or stop for every reason under `on`",
            );
        }
        if letters.value.limits.ratio.is_some() != letters.value.limits.window.is_some() {
            let text = format!("{who} limits dead letters by half a rule");
            self.at(letters, text, "limits.ratio and limits.window belong together");
        }
        if letters.value.limits.window.is_some_and(|window| window.0 == 0) {
            let text = format!("{who} limits dead letters over a window of no messages");
            self.at(letters, text, "limits.window is a number of messages, such as 10000");
        }
    }

    pub(super) fn known<T>(&mut self, name: &Spanned<Text>, all: &BTreeMap<String, T>, who: &str, what: &str) {
        if !all.contains_key(&name.value.0) {
            let known: Vec<&str> = all.keys().map(String::as_str).collect();
            let text = format!("{who} names {what} {:?}", name.value.0);
            self.at(name, text, hint(&name.value.0, &known, &format!("{what}s")));
        }
    }
}
