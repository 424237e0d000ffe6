//! The demo: `tidegate dev` with the errors processor, a stream of events at full speed, and an account of every one.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tidegate_tests::clickhouse::Database;
use tidegate_tests::events::{Events, Kind, Mix};
use tidegate_tests::{kafka, servers};

const PARTITIONS: i32 = 16;
/// The embedded broker keeps 5 MiB per partition; this much may be sent and not read yet, messages per partition.
const AHEAD_MAX: i64 = 2500;
const TOPIC: &str = "events";
const GROUP: &str = "snuba-consumers";

const CONFIG: &str = "version: 1
kafka: { brokers: embedded }
clickhouse: { main: { hosts: [\"http://embedded\"] } }
modules: { errors: { source: \"file:{module}\" } }
storages: { errors: { cluster: main, table: errors } }
pipelines:
  errors:
    topic: events
    group: snuba-consumers
    module: errors
    outputs: { errors: [errors] }
    commit_log: { topic: snuba-commit-log }
    replacements: { topic: event-replacements }
    dead_letters: { topic: events-dlq }
admin: { listen: \"127.0.0.1:{admin}\" }
";

struct Dev {
    child: Child,
    kafka: String,
    database: Database,
    admin: u16,
}

fn main() -> ExitCode {
    match demo() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo() -> Result<bool> {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |name: &str| arguments.iter().position(|given| given == name).and_then(|at| arguments.get(at + 1));
    let count: u64 = after("--messages").map_or(Ok(200_000), |text| text.parse())?;
    let mut dev = Dev::start()?;
    println!("admin       http://127.0.0.1:{}/status\n", dev.admin);
    let started = Instant::now();
    let sent = send(&dev, count)?;
    wait_for_end(&dev, count)?;
    let took = started.elapsed();
    let right = summary(&mut dev, &sent, count, took)?;
    if arguments.iter().any(|given| given == "--stay") {
        println!("\neverything keeps running; Ctrl-C ends it");
        let _ = dev.child.wait();
    }
    Ok(right)
}

impl Dev {
    fn start() -> Result<Self> {
        let folder = servers::folder("demo");
        let admin = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let module = servers::module("errors").display().to_string();
        let config = folder.join("pipeline.yaml");
        std::fs::write(&config, CONFIG.replace("{module}", &module).replace("{admin}", &admin.to_string()))?;
        let schema = folder.join("schema.sql");
        std::fs::write(&schema, include_str!("../../../processors/errors/schema.sql"))?;
        let log = std::fs::File::create(folder.join("tidegate.log"))?;
        println!("log         {}", folder.join("tidegate.log").display());
        let mut child = Command::new(servers::built("tidegate"))
            .args(["dev", "--partitions", &PARTITIONS.to_string(), "--data"])
            .arg(folder.join("clickhouse"))
            .arg("--schema")
            .arg(&schema)
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("failed to start tidegate dev")?;
        let mut printed = BTreeMap::new();
        for line in BufReader::new(child.stdout.take().context("no output")?).lines() {
            let line = line?;
            println!("{line}");
            if let Some((name, value)) = line.split_once(' ') {
                printed.insert(name.to_owned(), value.trim().to_owned());
            }
            if printed.contains_key("kafka") && printed.contains_key("clickhouse") {
                break;
            }
        }
        let (Some(kafka), Some(url)) = (printed.remove("kafka"), printed.remove("clickhouse")) else {
            bail!("tidegate dev did not start; see its log");
        };
        let port = url.rsplit(':').next().unwrap_or_default().parse()?;
        let database = Database::create(port, "default")?;
        let dev = Self { child, kafka, database, admin };
        tidegate_tests::tidegate::wait_until(Duration::from_secs(60), || {
            Ok(dev.positions("read").is_ok_and(|positions| positions.len() == PARTITIONS as usize))
        })
        .context("the pipeline did not get its partitions; see its log")?;
        Ok(dev)
    }

    fn get(&self, path: &str) -> Result<String> {
        use std::io::Read;
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.admin))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.split_once("\r\n\r\n").context("an answer without a body")?.1.to_owned())
    }

    /// Positions by partition: `read` or `committed`.
    fn positions(&self, which: &str) -> Result<BTreeMap<i32, i64>> {
        let status: Value = serde_json::from_str(&self.get("/status")?)?;
        let partitions = status["pipelines"]["errors"]["partitions"].as_object().context("no partitions")?;
        let number = |name: &str| name.rsplit('/').next().unwrap_or_default().parse::<i32>();
        partitions.iter().map(|(name, at)| Ok((number(name)?, at[which].as_i64().context("no position")?))).collect()
    }

    /// User and system time so far, seconds: of everything in the process, and of the embedded broker alone.
    fn cpu(&self) -> Result<(f64, f64)> {
        let process = PathBuf::from(format!("/proc/{}", self.child.id()));
        let (_, all) = cpu_of(&process)?;
        let mut broker = 0.0;
        for thread in std::fs::read_dir(process.join("task"))? {
            // A thread may end meanwhile.
            let (name, seconds) = cpu_of(&thread?.path()).unwrap_or_default();
            broker += if name == "rdk:mock" { seconds } else { 0.0 };
        }
        Ok((all, broker))
    }
}

/// Name, and user and system time in seconds, of a folder of /proc.
fn cpu_of(folder: &Path) -> Result<(String, f64)> {
    let stat = std::fs::read_to_string(folder.join("stat"))?;
    let (name, fields) = stat.rsplit_once(')').context("a stat without a name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).context("a stat without times");
    let name = name.split_once('(').map_or("", |(_, name)| name);
    Ok((name.to_owned(), (ticks(11)? + ticks(12)?) / 100.0))
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// Sends at full speed, but never further ahead than the broker keeps.
fn send(dev: &Dev, count: u64) -> Result<BTreeMap<Kind, u64>> {
    let sender = kafka::Sender::new(&dev.kafka, TOPIC)?;
    let (mut sent, mut next) = (BTreeMap::new(), [0i64; PARTITIONS as usize]);
    let started = Instant::now();
    for (number, event) in Events::new(1, Mix::default()).take(count as usize).enumerate() {
        let partition = number % PARTITIONS as usize;
        if next[partition] % 250 == 0 {
            wait_for_room(dev, partition, next[partition])?;
        }
        sender.send(Some(partition as i32), &event.key, event.payload.as_deref())?;
        next[partition] += 1;
        *sent.entry(event.kind).or_default() += 1;
        if number % 2000 == 0 {
            progress("sent", number as u64, count, started);
        }
    }
    sender.flush()?;
    progress("sent", count, count, started);
    eprintln!();
    Ok(sent)
}

fn wait_for_room(dev: &Dev, partition: usize, next: i64) -> Result<()> {
    let started = Instant::now();
    while next - dev.positions("read")?.get(&(partition as i32)).copied().unwrap_or(0) > AHEAD_MAX {
        if started.elapsed() > Duration::from_secs(120) {
            bail!("partition {partition} is not read any more; see the log");
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    Ok(())
}

fn wait_for_end(dev: &Dev, count: u64) -> Result<()> {
    let started = Instant::now();
    loop {
        let committed: i64 = dev.positions("committed")?.values().sum();
        progress("committed", committed as u64, count, started);
        if committed as u64 >= count {
            eprintln!();
            return Ok(());
        }
        if started.elapsed() > Duration::from_secs(180) {
            bail!("only {committed} of {count} messages are committed; see the log");
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

fn progress(what: &str, done: u64, all: u64, started: Instant) {
    if std::io::stderr().is_terminal() {
        let speed = done as f64 / started.elapsed().as_secs_f64().max(0.001);
        eprint!("\r{what} {done} of {all}  {speed:.0}/s   ");
    }
}

fn summary(dev: &mut Dev, sent: &BTreeMap<Kind, u64>, count: u64, took: Duration) -> Result<bool> {
    let of = |wanted: fn(&Kind) -> bool| sent.iter().filter(|(kind, _)| wanted(kind)).map(|(_, n)| n).sum::<u64>();
    let (events, replaced) = (of(|kind| *kind == Kind::Event), of(|kind| *kind == Kind::Replacement));
    let bad = of(|kind| matches!(kind, Kind::Bad(_)));
    let rows = dev.database.number("SELECT count() FROM errors")?;
    let distinct = dev.database.number("SELECT uniqExact(event_id) FROM errors")?;
    let replacements = kafka::read_all(&dev.kafka, "event-replacements")?.len() as u64;
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    for letter in kafka::read_all(&dev.kafka, "events-dlq")? {
        *reasons.entry(letter.headers.get("tidegate-reason").cloned().unwrap_or_default()).or_default() += 1;
    }
    let letters: u64 = reasons.values().sum();
    let ends = kafka::ends(&dev.kafka, TOPIC)?;
    let mut said = BTreeMap::new();
    for record in kafka::read_all(&dev.kafka, "snuba-commit-log")? {
        let value = record.value.unwrap_or_default();
        let record = tidegate::commit_log::Record::decode(&record.key, &value, None)?;
        anyhow::ensure!(record.group == GROUP, "a record of another group");
        said.insert(record.partition, record.offset);
    }
    let true_log = said == ends;
    let checks = [
        ("messages", count, ends.values().sum::<i64>() as u64),
        ("rows in ClickHouse", events, rows),
        ("distinct events", events, distinct),
        ("replacements", replaced, replacements),
        ("dead letters", bad, letters),
    ];
    println!();
    let mut right = true_log;
    for (what, expected, found) in checks {
        right &= expected == found;
        let mark = if expected == found { "ok" } else { "WRONG" };
        println!("{what:<22} {found:>9} of {expected:>9}  {mark}");
    }
    for (reason, n) in reasons {
        println!("  dead letters, {reason:<6} {n:>9}");
    }
    println!(
        "{:<22} {:>9} of {:>9}  {}",
        "commit log",
        said.values().sum::<i64>(),
        count,
        if true_log { "ok" } else { "WRONG" }
    );
    println!("{:<22} {:>9.0}", "messages/s", count as f64 / took.as_secs_f64());
    let (all, broker) = dev.cpu()?;
    let per_message = |seconds: f64| seconds * 1e6 / count as f64;
    println!(
        "{:<22} {:>9.1}  (and {:.1} of the embedded broker)",
        "CPU µs/message",
        per_message(all - broker),
        per_message(broker)
    );
    let sql = "SELECT title, count() AS events, uniqExact(user_id) AS users FROM errors GROUP BY title ORDER BY events DESC LIMIT 3";
    println!("\n{sql}\n{}", dev.database.run(&format!("{sql} FORMAT PrettyCompactMonoBlock"))?);
    Ok(right)
}
