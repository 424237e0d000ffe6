//! A pipeline of a guest of the tests on the real servers: topics, table, configuration.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::clickhouse::Database;
use crate::kafka::{self, Read};
use crate::tidegate::Tidegate;
use crate::{servers, variant};

/// Everything that one test of the whole has for itself.
pub struct Bed {
    pub name: String,
    pub kafka: String,
    pub database: Database,
    pub folder: PathBuf,
    pub partitions: i32,
    /// The guest: also the name of its output, and of its table.
    pub guest: String,
    /// Where its module comes from.
    pub source: String,
    /// Where the pipeline writes; a proxy may be in between.
    pub clickhouse: String,
    /// YAML for `batch`, `modules` and `dead_letters`, and more lines of the pipeline, of `kafka.properties`, and of all.
    pub batch: String,
    pub module: String,
    pub letters: String,
    pub more: String,
    pub properties: String,
    pub globals: String,
    /// Threads of the processor.
    pub workers: u32,
}

/// What a command said.
#[derive(Clone, Debug)]
pub struct Answer {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Answer {
    /// The one line of JSON that it printed.
    ///
    /// # Errors
    /// If it printed something else.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.out).with_context(|| format!("{}{}", self.out, self.err))
    }
}

impl Bed {
    /// Topics and table of the shared servers.
    ///
    /// # Errors
    /// If a server refuses.
    pub fn new(name: &str, partitions: i32) -> Result<Self> {
        Self::on(&servers::kafka(), name, partitions)
    }

    /// With the topics in a Kafka of the test's own.
    ///
    /// # Errors
    /// If a server refuses.
    pub fn on(kafka: &str, name: &str, partitions: i32) -> Result<Self> {
        Self::of_poison(kafka, name, partitions, database_of(name), servers::clickhouse())
    }

    /// With the table in a server of the test's own.
    ///
    /// # Errors
    /// If a server refuses.
    pub fn at(name: &str, partitions: i32, database: Database, clickhouse: String) -> Result<Self> {
        Self::of_poison(&servers::kafka(), name, partitions, database, clickhouse)
    }

    fn of_poison(kafka: &str, name: &str, partitions: i32, database: Database, clickhouse: String) -> Result<Self> {
        let source = format!("file:{}", servers::module("poison").display());
        let bed = Self::of(kafka, name, partitions, database, clickhouse, source)?;
        bed.database.run_all(include_str!("../guests/poison/schema.sql"))?;
        Ok(bed)
    }

    /// For the copies of the guest `variant`, which the test chooses.
    ///
    /// # Errors
    /// If a server refuses.
    pub fn of_variants(name: &str, partitions: i32) -> Result<Self> {
        let source = format!("file:{}", variant::write(&servers::folder(name), 1, "good").display());
        let mut bed = Self::of(&servers::kafka(), name, partitions, database_of(name), servers::clickhouse(), source)?;
        bed.guest = "variant".into();
        bed.database.run(variant::SCHEMA)?;
        Ok(bed)
    }

    fn of(
        kafka: &str,
        name: &str,
        partitions: i32,
        database: Database,
        clickhouse: String,
        source: String,
    ) -> Result<Self> {
        let bed = Self {
            name: name.to_owned(),
            kafka: kafka.to_owned(),
            database,
            folder: servers::folder(name),
            partitions,
            guest: "poison".into(),
            source,
            clickhouse,
            batch: "{ rows: 5000, bytes: 8MiB, time: 300ms }".into(),
            module: "base: 50ms, per_message: 100us, memory: 32MiB".into(),
            letters: String::new(),
            more: "drain_timeout: 20s".into(),
            properties: "session.timeout.ms: 6000, heartbeat.interval.ms: 300".into(),
            globals: String::new(),
            workers: 1,
        };
        let topics =
            [(bed.topic(), partitions), (bed.commit_log(), 1), (bed.replacements(), 1), (bed.dead_letters(), 1)];
        let topics: Vec<(&str, i32)> = topics.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        crate::runtime().block_on(kafka::create_topics(&bed.kafka, &topics))?;
        Ok(bed)
    }

    pub fn topic(&self) -> String {
        format!("{}-in", self.name)
    }

    pub fn commit_log(&self) -> String {
        format!("{}-commit-log", self.name)
    }

    pub fn replacements(&self) -> String {
        format!("{}-replacements", self.name)
    }

    pub fn dead_letters(&self) -> String {
        format!("{}-dlq", self.name)
    }

    pub fn group(&self) -> String {
        format!("{}-group", self.name)
    }

    pub fn config(&self) -> String {
        format!(
            "version: 1
kafka:
  brokers: {}
  properties: {{ {} }}
clickhouse:
  main: {{ hosts: [\"{}\"], database: {}, timeout: 20s }}
modules:
  {guest}: {{ source: \"{}\", {} }}
storages:
  {guest}: {{ cluster: main, table: {guest} }}
pipelines:
  {}:
    topic: {}
    group: {}
    module: {guest}
    outputs: {{ {guest}: [{guest}] }}
    workers: {}
    batch: {}
    {}
    commit_log: {{ topic: {}, heartbeat: 1s }}
    replacements: {{ topic: {} }}
    dead_letters: {{ topic: {}{} }}
admin: {{ listen: \"{{admin}}\" }}
state: {}-state
{}
",
            self.kafka,
            self.properties,
            self.clickhouse,
            self.database.name,
            self.source,
            self.module,
            self.name,
            self.topic(),
            self.group(),
            self.workers,
            self.batch,
            self.more,
            self.commit_log(),
            self.replacements(),
            self.dead_letters(),
            self.letters,
            self.name,
            self.globals,
            guest = self.guest,
        )
    }

    /// With a second pipeline `copy` of the same group, which writes to table `copy` of a cluster; `more` are lines of it.
    pub fn config_with_copy(&self, cluster: &str, more: &str) -> String {
        let copy = format!(
            "  copy:
    topic: {}
    group: {}
    module: {guest}
    outputs: {{ {guest}: [copy] }}
    workers: {}
    {}
    {more}
    commit_log: {{ topic: {}, group: copy, heartbeat: 1s }}
    replacements: {{ topic: {} }}
    dead_letters: {{ topic: {} }}
",
            self.topic(),
            self.group(),
            self.workers,
            self.more,
            self.commit_log(),
            self.replacements(),
            self.dead_letters(),
            guest = self.guest,
        );
        self.config()
            .replace("pipelines:\n", &format!("  copy: {{ cluster: {cluster}, table: copy }}\npipelines:\n"))
            .replace("admin: {", &format!("{copy}admin: {{"))
    }

    /// Starts a process of the pipeline.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, process: &str) -> Result<Tidegate> {
        Tidegate::run(&self.folder, process, &self.config())
    }

    /// Runs a command of the program on this configuration: `commit-log verify CONFIG --json`.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn command(&self, words: &[&str], arguments: &[&str]) -> Result<Answer> {
        self.command_of(&self.config(), words, arguments)
    }

    /// The same on another configuration.
    ///
    /// # Errors
    /// As above.
    pub fn command_of(&self, config: &str, words: &[&str], arguments: &[&str]) -> Result<Answer> {
        let file = self.folder.join("command.yaml");
        std::fs::write(&file, config.replace("{admin}", "127.0.0.1:0"))?;
        let mut command = Command::new(servers::built("tidegate"));
        let output = command.args(words).arg(&file).args(arguments).output()?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Answer { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) })
    }

    /// Sends an order `{"version": 1, "id": …, "do": …}` for each, spread over the partitions.
    ///
    /// # Errors
    /// If Kafka refuses.
    pub fn send<'a>(&self, orders: impl Iterator<Item = (u64, &'a str)>) -> Result<()> {
        let sender = kafka::Sender::new(&self.kafka, &self.topic())?;
        for (id, deed) in orders {
            let payload = match deed {
                "not-json" => format!("{{\"id\": {id}, \"do"),
                "wrong-version" => format!("{{\"version\": 2, \"id\": {id}, \"do\": \"row\"}}"),
                "missing-field" => format!("{{\"version\": 1, \"do\": \"row\", \"was\": {id}}}"),
                "wrong-type" => format!("{{\"version\": 1, \"id\": \"{id}\", \"do\": \"row\"}}"),
                deed => format!("{{\"version\": 1, \"id\": {id}, \"do\": \"{deed}\", \"note\": \"number {id}\"}}"),
            };
            let partition = (id % self.partitions as u64) as i32;
            sender.send(Some(partition), &id.to_string(), Some(payload.as_bytes()))?;
        }
        sender.flush()
    }

    /// Whether the group has committed the end of every partition.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub fn is_done(&self) -> Result<bool> {
        let ends = kafka::ends(&self.kafka, &self.topic())?;
        // The group's coordinator comes to life with the first member.
        let Ok(committed) = kafka::committed(&self.kafka, &self.group(), &self.topic()) else { return Ok(false) };
        Ok(ends.iter().all(|(partition, end)| *end == 0 || committed.get(partition) == Some(end)))
    }

    /// # Errors
    /// If the topic cannot be read.
    pub fn letters(&self) -> Result<Vec<Read>> {
        kafka::read_all(&self.kafka, &self.dead_letters())
    }

    /// Last record of the commit log for each partition.
    ///
    /// # Errors
    /// If the topic cannot be read, or holds something else.
    pub fn said(&self) -> Result<std::collections::BTreeMap<i32, i64>> {
        self.said_of(&self.group())
    }

    /// The same, by a name of its own in the commit log.
    ///
    /// # Errors
    /// As above.
    pub fn said_of(&self, group: &str) -> Result<std::collections::BTreeMap<i32, i64>> {
        let mut said = std::collections::BTreeMap::new();
        for record in kafka::read_all(&self.kafka, &self.commit_log())? {
            let value = record.value.unwrap_or_default();
            let record = tidegate::commit_log::Record::decode(&record.key, &value, None)?;
            if record.group == group {
                said.insert(record.partition, record.offset);
            }
        }
        Ok(said)
    }
}

fn database_of(bed: &str) -> Database {
    servers::database(&bed.replace('-', "_"))
}
