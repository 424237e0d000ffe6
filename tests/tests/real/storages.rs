//! One process, two pipelines, five tables in two clusters: what is down holds what depends on it and nothing else, and
//! when it is back nothing is lost and nothing is there twice.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tidegate::clock::now_ms;
use tidegate_tests::clickhouse::Database;
use tidegate_tests::kafka::{self, Sender};
use tidegate_tests::pipeline::Bed;
use tidegate_tests::proxy::{Fault, Proxy};
use tidegate_tests::servers;
use tidegate_tests::tidegate::{Tidegate, wait_until};

const MINUTE: Duration = Duration::from_secs(60);
const UNSELECTED_EVERY: u64 = 100;
const TABLES: [&str; 4] = ["counters", "sets", "distributions", "gauges"];

/// The pipeline of generic metrics beside that of the bed; counters also go to another cluster, behind a proxy.
struct Metrics {
    bed: Bed,
    far: Database,
    proxy: Proxy,
}

impl Metrics {
    fn new() -> Self {
        let bed = Bed::new("beside", 2).unwrap();
        let topics = [("storages-metrics", 2), ("storages-metrics-log", 1), ("storages-metrics-dlq", 1)];
        tidegate_tests::runtime().block_on(kafka::create_topics(&bed.kafka, &topics)).unwrap();
        let far = servers::database("storages_far");
        for database in [&bed.database, &far] {
            database.run_all(include_str!("../../../processors/generic-metrics/schema.sql")).unwrap();
        }
        Self { bed, far, proxy: Proxy::before_shared().unwrap() }
    }

    fn config(&self) -> String {
        let far = format!("  far: {{ hosts: [\"{}\"], database: storages_far }}\n", self.proxy.url());
        let module = servers::module("generic-metrics");
        let module = format!("  generic-metrics: {{ source: \"file:{}\" }}\n", module.display());
        let table = |name: &str, cluster: &str, kind: &str| {
            format!("  {name}: {{ cluster: {cluster}, table: generic_metric_{kind}_raw }}\n")
        };
        let near: String = TABLES.iter().map(|kind| table(kind, "main", kind)).collect();
        let storages = near + &table("counters_far", "far", "counters");
        let schema = self.bed.folder.join("schema.json");
        std::fs::write(&schema, r#"{ "properties": { "type": { "enum": ["c", "s", "d"] } } }"#).unwrap();
        let pipeline = format!(
            "  metrics:
    topic: storages-metrics
    group: storages-metrics-group
    module: generic-metrics
    select: {{ header: {{ metric_type: [c, s, d, g] }} }}
    schema: {{ file: {} }}
    outputs: {{ counters: [counters, counters_far], sets: [sets], distributions: [distributions], gauges: [gauges] }}
    workers: 1
    batch: {{ time: 300ms }}
    commit_log: {{ topic: storages-metrics-log }}
    dead_letters: {{ topic: storages-metrics-dlq }}
",
            schema.display()
        );
        let parts = [
            ("clickhouse:\n", &*far),
            ("modules:\n", &module),
            ("storages:\n", &storages),
            ("pipelines:\n", &pipeline),
        ];
        parts.iter().fold(self.bed.config(), |config, (key, more)| config.replace(key, &format!("{key}{more}")))
    }

    /// Positions of the pipeline's group.
    fn committed(&self) -> BTreeMap<i32, i64> {
        kafka::committed(&self.bed.kafka, "storages-metrics-group", "storages-metrics").unwrap()
    }

    /// The other pipeline's rows.
    fn others(&self) -> u64 {
        self.bed.database.number("SELECT count() FROM poison").unwrap()
    }

    fn wait_for_others(&self, more: u64) {
        let before = self.others();
        wait_until(MINUTE, || Ok(self.others() > before + more)).unwrap();
    }

    /// The other pipeline goes on for thousands of rows, and this one commits and claims nothing.
    fn assert_holds(&self, what: &str) {
        // A batch that was written before may still be settled.
        self.wait_for_others(1000);
        let held = self.committed();
        self.wait_for_others(4000);
        assert_eq!(self.committed(), held, "{what}");
        let mut said = BTreeMap::new();
        for record in kafka::read_all(&self.bed.kafka, "storages-metrics-log").unwrap() {
            let record = tidegate::commit_log::Record::decode(&record.key, &record.value.unwrap(), None).unwrap();
            said.insert(record.partition, record.offset);
        }
        assert_eq!(said, held, "{what}");
    }

    fn assert_goes_on(&self) {
        let held = self.committed();
        let goes_on = |now: BTreeMap<i32, i64>| held.iter().all(|(partition, position)| now[partition] > *position);
        wait_until(MINUTE, || Ok(goes_on(self.committed()))).unwrap();
    }

    fn is_done(&self) -> bool {
        kafka::ends(&self.bed.kafka, "storages-metrics").unwrap() == self.committed()
    }
}

/// Sends to both topics until told to stop, a thousand messages a second each, and some more that are not selected.
/// Returns how many to each.
fn load(bed: &Bed, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<u64> {
    let metrics = Sender::new(&bed.kafka, "storages-metrics").unwrap();
    let orders = Sender::new(&bed.kafka, &bed.topic()).unwrap();
    let now = now_ms() / 1000;
    std::thread::spawn(move || {
        let (started, mut id) = (Instant::now(), 0u64);
        while !stop.load(Ordering::Acquire) {
            let gauge = json!({ "min": 1, "max": 1, "sum": 1, "count": 1, "last": 1 });
            let (kind, value) =
                [("c", json!(1)), ("s", json!([1])), ("d", json!([1])), ("g", gauge)][id as usize % 4].clone();
            let metric = json!({
                "use_case_id": "spans", "org_id": 1, "project_id": 1, "metric_id": id, "timestamp": now, "tags": {},
                "retention_days": 90, "type": kind, "value": value,
            });
            let partition = Some((id / 4 % 2) as i32);
            let headers = [("metric_type", kind)];
            metrics.send_with(partition, "k", Some(metric.to_string().as_bytes()), &headers).unwrap();
            if id.is_multiple_of(UNSELECTED_EVERY) {
                metrics.send_with(partition, "k", Some(b"not selected"), &[("metric_type", "e")]).unwrap();
            }
            let order = json!({ "version": 1, "id": id, "do": "row" }).to_string();
            orders.send(partition, "k", Some(order.as_bytes())).unwrap();
            id += 1;
            let due = Duration::from_millis(id);
            if let Some(ahead) = due.checked_sub(started.elapsed()).filter(|ahead| *ahead > Duration::from_millis(5)) {
                std::thread::park_timeout(ahead);
            }
        }
        metrics.flush().unwrap();
        orders.flush().unwrap();
        id
    })
}

/// Stages of a pipeline that wait for somebody.
fn held(tidegate: &Tidegate, pipeline: &str) -> Vec<String> {
    let status = tidegate.status().unwrap();
    status["pipelines"][pipeline]["held"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn what_is_down_holds_what_depends_on_it_and_nothing_else() {
    let metrics = Metrics::new();
    let mut tidegate = Tidegate::run(&metrics.bed.folder, "both", &metrics.config()).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let load = load(&metrics.bed, stop.clone());
    wait_until(MINUTE, || {
        assert!(tidegate.is_running(), "{}", tidegate.log());
        Ok(metrics.others() > 1000 && metrics.committed().len() == 2)
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", tidegate.log()));

    // One of two storages of one output, in another cluster.
    metrics.proxy.set(Fault::Refuse);
    wait_until(MINUTE, || Ok(metrics.proxy.faults() >= 2)).unwrap();
    metrics.assert_holds("a cluster is away");
    metrics.proxy.set(Fault::None);
    metrics.assert_goes_on();

    // A table of one of four outputs.
    let rename =
        |from: &str, to: &str| drop(metrics.bed.database.run(&format!("RENAME TABLE {from} TO {to}")).unwrap());
    rename("generic_metric_gauges_raw", "elsewhere");
    wait_until(MINUTE, || Ok(held(&tidegate, "metrics") == ["insert into gauges"])).unwrap();
    metrics.assert_holds("a table is not there");
    assert!(tidegate.get("/readyz").unwrap().contains("insert into gauges"));
    assert!(held(&tidegate, "beside").is_empty(), "the other pipeline is not held");
    rename("elsewhere", "generic_metric_gauges_raw");
    wait_until(MINUTE, || Ok(held(&tidegate, "metrics").is_empty())).unwrap();
    metrics.assert_goes_on();

    // Rows that are written, and nobody hears of it.
    let before = metrics.proxy.faults();
    metrics.proxy.set(Fault::LoseAnswer);
    wait_until(MINUTE, || Ok(metrics.proxy.faults() >= before + 3)).unwrap();
    metrics.proxy.set(Fault::None);
    metrics.assert_goes_on();

    stop.store(true, Ordering::Release);
    let sent = load.join().unwrap();
    wait_until(MINUTE, || Ok(metrics.is_done() && metrics.bed.is_done()?))
        .unwrap_or_else(|error| panic!("{error}\n{}", tidegate.log()));
    let told = tidegate.get("/metrics").unwrap();
    let told = |name: &str| -> u64 {
        let value = told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in\n{told}")).parse().unwrap()
    };
    let unselected = sent.div_ceil(UNSELECTED_EVERY);
    assert_eq!(told("tidegate_messages_total{pipeline=\"metrics\",of=\"storages-metrics\"}"), sent + unselected);
    assert_eq!(told("tidegate_outcomes_total{pipeline=\"metrics\",of=\"inserted\"}"), sent);
    assert_eq!(told("tidegate_outcomes_total{pipeline=\"metrics\",of=\"unselected\"}"), unselected);
    assert_eq!(told("tidegate_schema_checked_total{pipeline=\"metrics\",of=\"all\"}"), sent);
    assert_eq!(told("tidegate_schema_invalid_total{pipeline=\"metrics\",of=\"all\"}"), sent / 4, "the gauges");
    assert_eq!(tidegate.terminate().unwrap().code(), Some(143));
    for (number, kind) in TABLES.iter().enumerate() {
        let of_kind = (number as u64..sent).step_by(4).count() as u64;
        let rows = |database: &Database, of: &str| {
            database.number(&format!("SELECT {of} FROM generic_metric_{kind}_raw")).unwrap()
        };
        assert_eq!(rows(&metrics.bed.database, "uniqExact(metric_id)"), of_kind, "none of {kind} lost");
        assert_eq!(rows(&metrics.bed.database, "count()"), of_kind, "none of {kind} twice");
        let of_far = if *kind == "counters" { of_kind } else { 0 };
        assert_eq!(rows(&metrics.far, "uniqExact(metric_id)"), of_far, "none of {kind} lost in the other cluster");
        assert_eq!(rows(&metrics.far, "count()"), of_far, "none of {kind} twice in the other cluster");
    }
    assert_eq!(metrics.others(), sent, "none of the other pipeline lost or twice");
    println!("{sent} messages to each pipeline, {} requests failed on purpose", metrics.proxy.faults());
}

#[test]
fn tables_of_one_output_must_have_the_same_types() {
    let bed = Bed::new("other-types", 1).unwrap();
    bed.database.run("CREATE TABLE wider AS poison").unwrap();
    bed.database.run("ALTER TABLE wider MODIFY COLUMN kind Enum8('a' = 1, 'b' = 2, 'c' = 3)").unwrap();
    let config = bed
        .config()
        .replace("storages:\n", "storages:\n  wider: { cluster: main, table: wider }\n")
        .replace("poison: [poison]", "poison: [poison, wider]");
    let mut tidegate = Tidegate::run(&bed.folder, "one", &config).unwrap();
    wait_until(MINUTE, || Ok(!tidegate.is_running())).unwrap();
    let log = tidegate.log();
    assert!(log.contains("table \"wider\" has other types than the first table of its output"), "{log}");
}
