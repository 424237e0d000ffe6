//! `tidegate doctor` on real servers: setups that are wrong in one way or several, and what it says of each, in
//! `doctor/NAME.txt`. `UPDATE_GOLDEN=1` writes the texts anew.

#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tidegate_engines::{ClickHouse, Customs};
use tidegate_tests::clickhouse::Database;
use tidegate_tests::kafka::{self, Sender};
use tidegate_tests::pipeline::Bed;
use tidegate_tests::tidegate::wait_until;
use tidegate_tests::{runtime, servers};

const MINUTE: Duration = Duration::from_secs(60);

/// Keeps a log of queries, and has a clerk whose profile is against nearly everything, a guest who may only
/// look, and somebody who may not look behind his table.
static CLICKHOUSE: LazyLock<ClickHouse> = LazyLock::new(|| {
    let customs = Customs {
        config: "<query_log><database>system</database><table>query_log</table></query_log>\
            <remote_servers><one><shard><replica><host>127.0.0.1</host><port>9</port></replica></shard></one>\
            </remote_servers>"
            .into(),
        users: "<clerk><password></password><networks><ip>::/0</ip></networks><profile>hasty</profile>\
            <quota>default</quota></clerk>\
            <guest><password></password><networks><ip>::/0</ip></networks><profile>looking</profile>\
            <quota>default</quota><grants><query>GRANT SELECT ON *.*</query></grants></guest>\
            <blind><password></password><networks><ip>::/0</ip></networks><profile>default</profile>\
            <quota>default</quota><grants><query>GRANT SELECT, INSERT ON doctor_blind.*</query></grants></blind>"
            .into(),
        profiles: "<hasty><async_insert>1</async_insert><wait_for_async_insert>0</wait_for_async_insert>\
            <insert_quorum>2</insert_quorum><insert_quorum_parallel>0</insert_quorum_parallel>\
            <load_balancing>in_order</load_balancing><max_memory_usage>30000000</max_memory_usage>\
            <max_execution_time>5</max_execution_time>\
            <max_partitions_per_insert_block>5</max_partitions_per_insert_block>\
            <insert_deduplicate>0</insert_deduplicate>\
            <constraints><insert_deduplicate><const/></insert_deduplicate></constraints></hasty>\
            <looking><readonly>1</readonly></looking>"
            .into(),
    };
    servers::clickhouse_with(&servers::folder("doctor-clickhouse"), customs)
});

/// A pipeline that nothing is wrong with yet.
struct Setup {
    name: &'static str,
    bed: Bed,
    /// Text of the configuration, and what is written in its place.
    instead: Vec<(String, String)>,
}

impl Setup {
    fn new(name: &'static str) -> Self {
        let setup = Self::at(name, &CLICKHOUSE);
        // A server that has just started has no log of queries yet, and the doctor says so.
        setup.bed.database.run("SYSTEM FLUSH LOGS").unwrap();
        setup
    }

    fn at(name: &'static str, clickhouse: &ClickHouse) -> Self {
        let database = Database::create(clickhouse.port(), &name.replace('-', "_")).unwrap();
        let bed = Bed::at(name, 2, database, clickhouse.url()).unwrap();
        bed.database.run("ALTER TABLE poison MODIFY SETTING non_replicated_deduplication_window = 20000").unwrap();
        let setup = Self { name, bed, instead: Vec::new() };
        setup.configure(&setup.bed.commit_log(), &[("cleanup.policy", "compact")]);
        setup
    }

    fn configure(&self, topic: &str, settings: &[(&str, &str)]) {
        runtime().block_on(kafka::configure_topic(&self.bed.kafka, topic, settings)).unwrap();
    }

    fn messages(&self, count: u64) {
        self.bed.send((0..count).map(|id| (id, "row"))).unwrap();
    }

    fn commit(&self, partition: i32, position: i64) {
        kafka::commit(&self.bed.kafka, &self.bed.group(), &self.bed.topic(), [(partition, position)]).unwrap();
    }

    /// As a process of the group would say it.
    fn say(&self, partition: i32, position: i64) {
        let sender = Sender::new(&self.bed.kafka, &self.bed.commit_log()).unwrap();
        let key = format!("{}:{partition}:{}", self.bed.topic(), self.bed.group());
        let value = format!("{{\"offset\":{position},\"orig_message_ts\":1.0,\"received_p99\":null}}");
        sender.send(None, &key, Some(value.as_bytes())).unwrap();
        sender.flush().unwrap();
    }

    fn doctor(&self, arguments: &[&str]) -> Output {
        let mut config = self.bed.config().replace("{admin}", "127.0.0.1:0");
        for (text, instead) in &self.instead {
            assert!(config.contains(text), "{text:?} is not in the configuration");
            config = config.replace(text, instead);
        }
        let file = self.bed.folder.join("doctor.yaml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(servers::built("tidegate"));
        command.args(["doctor", "--log", "off"]).arg(&file).args(arguments).output().unwrap()
    }

    /// What it says is what is written.
    fn check(&self, file: &str, arguments: &[&str]) -> String {
        let output = self.doctor(arguments);
        let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        let said = said.replace(&self.bed.kafka, "KAFKA").replace(&self.bed.clickhouse, "CLICKHOUSE");
        let said = format!("{}exit code: {}\n", without_what_varies(&said), output.status.code().unwrap());
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("doctor/{file}.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &said).unwrap();
        }
        assert_eq!(said, std::fs::read_to_string(&golden).unwrap_or_default(), "{file}");
        said
    }

    fn check_itself(&self) -> String {
        self.check(self.name, &[])
    }

    /// What is safe to mend is mended, and then nothing of it is found any more.
    fn check_fix(&self) {
        self.check(&format!("{}-fix", self.name), &["--fix"]);
        let after = self.doctor(&[]);
        assert_eq!(after.status.code(), Some(0), "{}", String::from_utf8_lossy(&after.stdout));
    }
}

/// Between these there is a number, a path or ClickHouse's own text.
const VARY: &[(&str, &str)] = &[
    ("(version ", ")"),
    ("took up to ", ", timeout"),
    ("it fails: ", "\n"),
    ("has 0 % free, ", " MiB"),
    ("(/", ") has "),
    ("refused (after ", ")"),
];

fn without_what_varies(said: &str) -> String {
    let mut said = said.to_owned();
    for (before, after) in VARY {
        let parts: Vec<_> = said.split(before).map(str::to_owned).collect();
        let rest = parts[1..].iter().map(|part| format!("{before}…{}", &part[part.find(after).unwrap()..]));
        said = parts[..1].iter().cloned().chain(rest).collect();
    }
    said
}

#[test]
fn a_healthy_setup_has_nothing_to_mend() {
    let setup = Setup::new("doctor-healthy");
    let tidegate = setup.bed.start("run").unwrap();
    // Commits and their records come meanwhile.
    for at_work in 0..3 {
        setup.bed.send((at_work * 5000..(at_work + 1) * 5000).map(|id| (id, "row"))).unwrap();
        let output = setup.doctor(&[]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    }
    wait_until(MINUTE, || setup.bed.is_done()).unwrap_or_else(|error| panic!("{error}: {}", tidegate.log()));
    setup.bed.database.run("SYSTEM FLUSH LOGS").unwrap();
    setup.check_itself();
    // Nor is there anything to be done.
    setup.check("doctor-healthy", &["--fix"]);
}

#[test]
fn topics_that_forget_are_found_and_commit_logs_mended() {
    let mut log = Setup::new("doctor-commit-log");
    // Its own settings stay as they are.
    log.configure(&log.bed.commit_log(), &[("cleanup.policy", "delete"), ("segment.bytes", "2000000")]);
    log.check_itself();
    log.check_fix();
    let setting = |name| runtime().block_on(kafka::topic_setting(&log.bed.kafka, &log.bed.commit_log(), name)).unwrap();
    assert_eq!([setting("cleanup.policy"), setting("segment.bytes")], ["compact", "2000000"]);
    log.configure(&log.bed.commit_log(), &[("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "1.0")]);
    log.name = "doctor-commit-log-never-compacted";
    log.check_itself();

    let compacted = Setup::new("doctor-compacted");
    for topic in [compacted.bed.topic(), compacted.bed.dead_letters()] {
        compacted.configure(&topic, &[("cleanup.policy", "compact")]);
    }
    compacted.check_itself();
    // Messages would be deleted by it: that is not for --fix.
    compacted.check("doctor-compacted", &["--fix"]);

    let short = Setup::new("doctor-retention");
    short.configure(&short.bed.topic(), &[("retention.ms", "600000"), ("retention.bytes", "1000000000")]);
    short.check_itself();
    assert_eq!(short.doctor(&["--worst-outage", "5m"]).status.code(), Some(0));
    let outage = short.doctor(&["--worst-outage", "200h"]);
    assert!(String::from_utf8(outage.stdout).unwrap().contains("(offset-retention)"));
}

#[test]
fn letters_that_are_too_large_and_topics_that_are_not_there() {
    let large = Setup::new("doctor-large");
    large.configure(&large.bed.topic(), &[("max.message.bytes", "4194304")]);
    large.check_itself();
    large.check_fix();
    let tidegate = large.bed.start("run").unwrap();
    let message = format!("no JSON {}", "x".repeat(3 << 20));
    let sender = Sender::new(&large.bed.kafka, &large.bed.topic()).unwrap();
    sender.send(Some(0), "large", Some(message.as_bytes())).unwrap();
    sender.flush().unwrap();
    let is_lettered = || Ok(large.bed.letters()?.iter().any(|letter| letter.value == Some(message.clone().into())));
    wait_until(MINUTE, is_lettered).unwrap_or_else(|error| panic!("{error}: {}", tidegate.log()));

    let mut missing = Setup::new("doctor-missing");
    for topic in [missing.bed.commit_log(), missing.bed.dead_letters()] {
        missing.instead.push((topic.clone(), format!("{topic}-nowhere")));
    }
    missing.bed.database.run("DROP TABLE poison").unwrap();
    missing.check_itself();
}

#[test]
fn groups_that_were_set_back_and_records_that_were_lost() {
    let back = Setup::new("doctor-set-back");
    back.messages(40);
    back.commit(0, 5);
    back.say(0, 9);
    back.commit(1, 3);
    back.say(1, 3);
    runtime().block_on(kafka::delete_before(&back.bed.kafka, &back.bed.topic(), 1, 8)).unwrap();
    back.check_itself();

    let lost = Setup::new("doctor-lost-record");
    lost.messages(40);
    lost.commit(0, 12);
    lost.say(0, 4);
    lost.commit(1, 2);
    let mut stranger = ClientConfig::new();
    stranger.set("bootstrap.servers", &lost.bed.kafka).set("group.id", lost.bed.group());
    stranger.set("client.id", "stranger").set("enable.auto.commit", "false");
    let stranger: BaseConsumer = stranger.create().unwrap();
    stranger.subscribe(&[&lost.bed.topic()]).unwrap();
    wait_until(MINUTE, || {
        drop(stranger.poll(Duration::from_millis(100)));
        Ok(stranger.assignment()?.count() == 2)
    })
    .unwrap();
    lost.check_itself();
}

#[test]
fn tables_that_do_not_deduplicate_are_mended() {
    let off = Setup::new("doctor-no-deduplication");
    off.bed.database.run("ALTER TABLE poison RESET SETTING non_replicated_deduplication_window").unwrap();
    off.check_itself();
    off.check_fix();

    let small = Setup::new("doctor-small-window");
    small.bed.database.run("ALTER TABLE poison MODIFY SETTING non_replicated_deduplication_window = 100").unwrap();
    small.check_itself();
    small.check_fix();

    // Blocks are known again by the table behind.
    let distributed = Setup::new("doctor-distributed");
    distributed.bed.database.run("RENAME TABLE poison TO poison_local").unwrap();
    let create = "CREATE TABLE poison AS poison_local ENGINE = Distributed('one', currentDatabase(), 'poison_local')";
    distributed.bed.database.run(create).unwrap();
    distributed.bed.database.run("ALTER TABLE poison_local RESET SETTING non_replicated_deduplication_window").unwrap();
    distributed.check_itself();

    let forgets = Setup::new("doctor-memory");
    forgets.bed.database.run_all("DROP TABLE poison; CREATE TABLE poison (id UInt64) ENGINE = Memory").unwrap();
    forgets.check_itself();
}

#[test]
fn users_whose_profile_is_against_it() {
    let mut hasty = Setup::new("doctor-profile");
    hasty.instead.push(("timeout: 20s }".into(), "timeout: 20s, user: clerk }".into()));
    hasty.check_itself();

    let mut guest = Setup::new("doctor-guest");
    guest.instead.push(("timeout: 20s }".into(), "timeout: 20s, user: guest }".into()));
    guest.check_itself();

    // Nothing is wrong there that anybody could see.
    let mut blind = Setup::new("doctor-blind");
    blind.instead.push(("timeout: 20s }".into(), "timeout: 20s, user: blind }".into()));
    blind.check_itself();
}

#[test]
fn tables_that_cannot_keep_up() {
    let mut busy = Setup::new("doctor-busy");
    busy.instead.push(("timeout: 20s }".into(), "timeout: 5s }".into()));
    let database = &busy.bed.database;
    database.run("ALTER TABLE poison MODIFY SETTING parts_to_delay_insert = 100, parts_to_throw_insert = 10").unwrap();
    let insert = |id: u64, seconds: f64| {
        let insert = format!("INSERT INTO poison SELECT {id}, 'a', NULL, sleepEachRow({seconds}), 0 FROM numbers(1)");
        database.run(&insert).unwrap();
    };
    insert(0, 2.8);
    let failing = "ALTER TABLE poison UPDATE note = toString(throwIf(id = 0)) WHERE 1 SETTINGS mutations_sync = 0";
    database.run(failing).unwrap();
    let failed = "SELECT count() FROM system.mutations WHERE database = currentDatabase() AND latest_fail_reason != ''";
    wait_until(MINUTE, || Ok(database.number(failed)? == 1)).unwrap();
    database.run("SYSTEM STOP MERGES poison").unwrap();
    (1..8).for_each(|id| insert(id, 0.0));
    database.run("SYSTEM FLUSH LOGS").unwrap();
    busy.check_itself();
}

#[test]
fn a_server_without_a_keeper_and_room() {
    let customs = Customs {
        config: "<zookeeper><implementation>testkeeper</implementation></zookeeper>\
            <storage_configuration><disks><narrow><type>local</type><path>/tmp/tidegate-doctor-narrow/</path>\
            <keep_free_space_ratio>0.98</keep_free_space_ratio></narrow></disks></storage_configuration>"
            .into(),
        ..Customs::default()
    };
    let clickhouse = servers::clickhouse_with(&servers::folder("doctor-narrow"), customs);
    let setup = Setup::at("doctor-readonly-replica", &clickhouse);
    let schema = include_str!("../../guests/poison/schema.sql");
    let replicated = schema.replace("ENGINE = MergeTree", "ENGINE = ReplicatedMergeTree('/poison', 'r1')");
    setup.bed.database.run("DROP TABLE poison").unwrap();
    setup.bed.database.run(&format!("{replicated} SETTINGS replicated_deduplication_window_seconds = 600")).unwrap();
    setup.check_itself();
}

#[test]
fn servers_that_are_not_there() {
    let mut gone = Setup::new("doctor-unreachable");
    let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (kafka, clickhouse) = (port(), format!("http://{}", port()));
    (gone.bed.kafka, gone.bed.clickhouse) = (kafka, clickhouse);
    gone.check_itself();
}

#[test]
fn findings_are_json_on_demand() {
    let setup = Setup::new("doctor-json");
    setup.configure(&setup.bed.commit_log(), &[("cleanup.policy", "delete")]);
    let said = String::from_utf8(setup.doctor(&["--json"]).stdout).unwrap();
    let findings: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let log = &findings[0];
    let text = |name: &str| log[name].as_str().unwrap();
    assert_eq!([text("check"), text("severity")], ["commit-log-cleanup", "error"]);
    assert_eq!([text("object"), text("found")], ["topic doctor-json-commit-log", "cleanup.policy is delete"]);
    assert!(log["safe"].as_bool().unwrap() && text("mend").contains("kafka-configs.sh") && text("why").ends_with('.'));
    assert!(findings.iter().all(|finding| finding["severity"] != "error" || finding == log), "{said}");
}
