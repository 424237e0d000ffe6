//! Read your writes while processes join, leave and are killed: nobody reads too early, and every wait has an end.
//! `TIDEGATE_TRIALS=10000` for more of them.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use tidegate_client::{CommitLog, Consistency, LogSettings, Partition, Query, Reader, ReaderSettings, Token};
use tidegate_tests::kafka::{self, Sender, Writer};
use tidegate_tests::pipeline::Bed;
use tidegate_tests::tidegate::{Tidegate, wait_until};

const PARTITIONS: i32 = 4;
const AT_A_TIME: usize = 32;
/// A killed process is missed after six seconds.
const FOREVER: Duration = Duration::from_secs(60);
const OTHERS_PER_SECOND: u64 = 2000;

/// One who wrote, waited and read.
struct Trial {
    partition: i32,
    offset: i64,
    waited: Duration,
    ended: Instant,
    rows: String,
}

struct Stage<'a> {
    bed: &'a Bed,
    trials: usize,
    done: AtomicUsize,
    is_over: AtomicBool,
}

impl Stage<'_> {
    async fn trial(&self, number: usize, writer: &Writer, log: &CommitLog, reader: &Reader) -> Trial {
        let partition = number as i32 % PARTITIONS;
        let payload = format!("{{\"version\": 1, \"id\": {number}, \"do\": \"row\", \"note\": \"mine\"}}");
        let (_, offset) = writer.write(partition, "k", payload.as_bytes()).await.unwrap();
        let token = Token::of_message(Partition::new(self.bed.topic(), partition), offset);
        let started = Instant::now();
        log.wait_for(&token, &[&self.bed.group()], FOREVER).await.unwrap();
        let ended = Instant::now();
        let sql = "SELECT uniqExact(offset), any(id) FROM poison WHERE partition = {p:UInt16} AND offset = {o:UInt64}";
        let query = Query::new(sql).parameter("p", partition.to_string()).parameter("o", offset.to_string());
        let rows = String::from_utf8(reader.query(&query).await.unwrap()).unwrap();
        self.done.fetch_add(1, Ordering::Relaxed);
        Trial { partition, offset, waited: ended - started, ended, rows }
    }

    /// Others write too.
    fn load(&self) {
        let sender = Sender::new(&self.bed.kafka, &self.bed.topic()).unwrap();
        let mut id = 1_000_000_000;
        while !self.is_over.load(Ordering::Relaxed) {
            for _ in 0..OTHERS_PER_SECOND / 20 {
                let payload = format!("{{\"version\": 1, \"id\": {id}, \"do\": \"row\", \"note\": \"{id:0900}\"}}");
                sender.send(Some(id % 4), "k", Some(payload.as_bytes())).unwrap();
                id += 1;
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        sender.flush().unwrap();
    }

    /// Returns when this share of the trials is done.
    fn reached(&self, tenths: usize) {
        let enough = self.trials * tenths / 10;
        wait_until(Duration::from_secs(600), || Ok(self.done.load(Ordering::Relaxed) >= enough)).unwrap();
    }

    fn start(&self, process: &str) -> Tidegate {
        self.bed.start(process).unwrap()
    }

    /// Somebody joins, is killed, comes back, leaves.
    fn trouble(&self, first: Tidegate) -> Tidegate {
        self.reached(1);
        let second = self.start("second");
        self.reached(3);
        first.kill();
        self.reached(4);
        let first = self.start("first");
        self.reached(6);
        assert_eq!(second.terminate().unwrap().code(), Some(143));
        self.reached(7);
        let second = self.start("second");
        self.reached(8);
        second.kill();
        self.reached(9);
        first
    }

    /// How far each partition could be read, and since when: looked at all the time.
    fn watch(&self) -> Vec<(Instant, BTreeMap<i32, i64>)> {
        let mut seen = Vec::new();
        while !self.is_over.load(Ordering::Relaxed) {
            let at = Instant::now();
            let sql = "SELECT partition, max(offset) FROM poison GROUP BY partition";
            let answer = self.bed.database.run(sql).unwrap();
            let line = |line: &str| {
                let (partition, offset) = line.split_once('\t').unwrap();
                (partition.parse().unwrap(), offset.parse().unwrap())
            };
            seen.push((at, answer.lines().map(line).collect()));
            std::thread::park_timeout(Duration::from_millis(2));
        }
        seen
    }
}

fn percentile(sorted: &[Duration], of: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * of) as usize].as_secs_f64() * 1000.0
}

/// How long each wait went on when the row could be read already. Inserts come one after the other, so that the largest
/// offset says what else is there.
fn beyond(trials: &[Trial], seen: &[(Instant, BTreeMap<i32, i64>)]) -> Vec<Duration> {
    let readable_at = |trial: &Trial| {
        let there = |far: &BTreeMap<i32, i64>| far.get(&trial.partition).is_some_and(|far| *far >= trial.offset);
        seen.get(seen.partition_point(|(_, far)| !there(far))).map_or(trial.ended, |(at, _)| *at)
    };
    let mut beyond: Vec<_> =
        trials.iter().map(|trial| trial.ended.saturating_duration_since(readable_at(trial))).collect();
    beyond.sort_unstable();
    beyond
}

#[test]
fn real_who_has_waited_reads_what_it_wrote() {
    let trials = std::env::var("TIDEGATE_TRIALS").map_or(2000, |count| count.parse().unwrap());
    let mut bed = Bed::new("read-back", PARTITIONS).unwrap();
    bed.batch = "{ rows: 5000, bytes: 8MiB, time: 100ms, inserts_in_flight: 1 }".into();
    let log = CommitLog::start(&kafka::config(&bed.kafka), &bed.commit_log(), LogSettings::default()).unwrap();
    let reader = Reader::new(ReaderSettings {
        hosts: vec![bed.clickhouse.clone()],
        database: bed.database.name.clone(),
        user: "default".into(),
        password: String::new(),
        consistency: Consistency::InOrder,
        timeout: Duration::from_secs(20),
    });
    let (reader, writer) = (reader.unwrap(), Writer::new(&bed.kafka, &bed.topic()).unwrap());
    let stage = Stage { bed: &bed, trials, done: AtomicUsize::new(0), is_over: AtomicBool::new(false) };
    let first = stage.start("first");
    let (results, seen) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| stage.watch());
        scope.spawn(|| stage.load());
        let trouble = scope.spawn(|| stage.trouble(first));
        let runtime = tidegate_tests::runtime();
        let all = futures::stream::iter(0..trials).map(|number| stage.trial(number, &writer, &log, &reader));
        let results: Vec<Trial> = runtime.block_on(all.buffer_unordered(AT_A_TIME).collect());
        let last = trouble.join().unwrap();
        stage.is_over.store(true, Ordering::Relaxed);
        assert_eq!(last.terminate().unwrap().code(), Some(143));
        (results, watching.join().unwrap())
    });
    let early: Vec<_> =
        results.iter().filter(|trial| !trial.rows.starts_with("1\t")).map(|trial| trial.offset).collect();
    assert!(early.is_empty(), "{} read too early, at {early:?}", early.len());
    let mut waited: Vec<_> = results.iter().map(|trial| trial.waited).collect();
    waited.sort_unstable();
    let beyond = beyond(&results, &seen);
    let between = (seen.last().unwrap().0 - seen[0].0).as_secs_f64() * 1000.0 / seen.len() as f64;
    println!(
        "{trials} trials: none early, none without an end. waited p50 {:.0}, p99 {:.0}, max {:.0} ms; when the row could \
         be read already (looked at every {between:.0} ms): p50 {:.0}, p99 {:.0}, max {:.0} ms",
        percentile(&waited, 0.5),
        percentile(&waited, 0.99),
        percentile(&waited, 1.0),
        percentile(&beyond, 0.5),
        percentile(&beyond, 0.99),
        percentile(&beyond, 1.0),
    );
}
