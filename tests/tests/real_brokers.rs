//! A follower of two groups on three brokers, while a broker, a host and the follower itself end and come back: nothing comes
//! early, everything comes, in order, and nothing twice while a partition is held.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use tidegate::clock::now_ms;
use tidegate_client::{CommitLog, LogSettings, Record, SynchronizedConsumer, SynchronizedSettings};
use tidegate_engines::KafkaCluster;
use tidegate_tests::kafka;
use tidegate_tests::pipeline::Bed;
use tidegate_tests::servers;
use tidegate_tests::tidegate::{Tidegate, wait_until};

const PARTITIONS: i32 = 4;
const MESSAGES: usize = 40_000;
const LOG: &str = "brokers-log";
const PATIENCE: Duration = Duration::from_secs(120);

/// A message that was handed out.
#[derive(Clone, Copy)]
struct Delivered {
    partition: i32,
    offset: i64,
    /// Which stay of the partition with its follower this is.
    assignment: u64,
    at_ms: i64,
}

/// When a group said where it is, by its name and the partition: time and position, both ascending.
type Said = BTreeMap<(String, i32), Vec<(i64, i64)>>;

struct Stage {
    /// Both write what is in the topic of the first.
    beds: [Bed; 2],
    /// How far each partition was handed out.
    ends: Mutex<BTreeMap<i32, i64>>,
    is_over: AtomicBool,
}

impl Stage {
    fn new(kafka: &str) -> Self {
        let beds = ["brokers-a", "brokers-b"].map(|name| Bed::on(kafka, name, PARTITIONS).unwrap());
        tidegate_tests::runtime().block_on(kafka::create_compacted(kafka, LOG)).unwrap();
        Self { beds, ends: Mutex::default(), is_over: AtomicBool::new(false) }
    }

    fn kafka(&self) -> &str {
        &self.beds[0].kafka
    }

    fn topic(&self) -> String {
        self.beds[0].topic()
    }

    fn start(&self, which: usize, process: &str) -> Tidegate {
        let bed = &self.beds[which];
        let config = bed.config().replace(&bed.topic(), &self.topic()).replace(&bed.commit_log(), LOG);
        Tidegate::run(&bed.folder, process, &config).unwrap()
    }

    fn send(&self) {
        let sender = kafka::Sender::new(self.kafka(), &self.topic()).unwrap();
        for id in 0..MESSAGES {
            let payload = format!("{{\"version\": 1, \"id\": {id}, \"do\": \"row\", \"note\": \"number {id}\"}}");
            sender.send(Some(id as i32 % PARTITIONS), "k", Some(payload.as_bytes())).unwrap();
            if id % 200 == 0 {
                std::thread::park_timeout(Duration::from_millis(80));
            }
        }
        sender.flush().unwrap();
    }

    /// Messages, each counted once.
    fn delivered(&self) -> usize {
        self.ends.lock().unwrap().values().sum::<i64>() as usize
    }

    /// Returns when this share of the messages is handed out.
    fn reached(&self, tenths: usize) {
        wait_until(PATIENCE, || Ok(self.delivered() >= MESSAGES * tenths / 10)).unwrap();
    }

    /// Ends who leads the commit log, then a host, and lets both come back.
    fn trouble(&self, cluster: &mut KafkaCluster, host: Tidegate) -> Tidegate {
        self.reached(1);
        let leader = cluster.broker(kafka::leader(self.kafka(), LOG, 0).unwrap() as usize);
        leader.kill();
        self.reached(2);
        leader.restart().unwrap();
        self.reached(3);
        host.kill();
        let again = self.start(0, "again");
        wait_until(PATIENCE, || Ok(again.get("/readyz").is_ok_and(|answer| answer == "ready\n"))).unwrap();
        again
    }

    fn follower(&self) -> SynchronizedConsumer {
        let log = CommitLog::start(&kafka::config(self.kafka()), LOG, LogSettings::default()).unwrap();
        let mut config = kafka::config(self.kafka());
        config.set("group.id", "brokers-follower").set("auto.offset.reset", "earliest");
        config.set("session.timeout.ms", "6000");
        let groups = self.beds.iter().map(Bed::group).collect();
        let settings = SynchronizedSettings { groups, repair: LogSettings::default().repair };
        SynchronizedConsumer::new(&config, &log, &[&self.topic()], settings).unwrap()
    }

    /// What one follower is handed until this many are; it says so to a witness at once.
    fn follow(&self, enough: usize, witness: &Sender<Delivered>) -> Vec<Delivered> {
        let mut follower = self.follower();
        let (mut all, started) = (Vec::new(), Instant::now());
        while self.delivered() < enough {
            assert!(started.elapsed() < PATIENCE, "{} delivered, {follower:?}", self.delivered());
            let Some(message) = follower.poll(Duration::from_millis(100)) else { continue };
            let Ok(message) = message else { continue };
            let (partition, offset, assignment) = (message.partition(), message.offset(), follower.rebalances());
            all.push(Delivered { partition, offset, assignment, at_ms: now_ms() });
            witness.send(all[all.len() - 1]).unwrap();
            follower.commit_message(&message, CommitMode::Async).unwrap();
            let mut ends = self.ends.lock().unwrap();
            let end = ends.entry(partition).or_insert(0);
            *end = (offset + 1).max(*end);
        }
        all
    }

    /// Asks ClickHouse for the rows of everything that was handed out, as it comes.
    fn check(&self, delivered: Receiver<Delivered>) -> u64 {
        let mut checks = 0;
        while let Ok(first) = delivered.recv() {
            let mut last: BTreeMap<i32, i64> = BTreeMap::from([(first.partition, first.offset)]);
            last.extend(delivered.try_iter().map(|more| (more.partition, more.offset)));
            for (partition, offset) in last {
                let before = format!("partition = {partition} AND offset <= {offset}");
                for bed in &self.beds {
                    let rows = bed.database.number(&format!("SELECT uniqExact(offset) FROM poison WHERE {before}"));
                    assert_eq!(rows.unwrap(), offset as u64 + 1, "{partition}@{offset} came before its rows");
                    checks += 1;
                }
            }
        }
        checks
    }

    /// Reads the commit log before it is compacted.
    fn listen(&self) -> Said {
        let consumer: BaseConsumer = kafka::config(self.kafka()).set("group.id", "brokers-listener").create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(LOG, 0, Offset::Beginning).unwrap();
        consumer.assign(&list).unwrap();
        let mut said = Said::new();
        while !self.is_over.load(Ordering::Relaxed) {
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
            let (key, value) = (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
            let Record { partition, group, offset, .. } = Record::decode(key, value, None).unwrap();
            said.entry((group, partition)).or_default().push((message.timestamp().to_millis().unwrap(), offset));
        }
        said
    }
}

/// Every assignment has its partitions in order and without a hole, and begins no later than the one before has ended;
/// together they have everything. Returns how many there were.
fn is_whole_and_in_order(lives: &[Vec<Delivered>]) -> usize {
    let mut ends = BTreeMap::new();
    let mut assignments = BTreeMap::new();
    for (life, delivered) in lives.iter().enumerate() {
        for Delivered { partition, offset, assignment, .. } in delivered {
            let end = ends.entry(*partition).or_insert(0);
            let next = assignments.entry((life, *assignment, *partition)).or_insert((*offset).min(*end));
            assert_eq!(offset, next, "partition {partition} is not in order");
            *next += 1;
            *end = (*next).max(*end);
        }
    }
    let each = (MESSAGES / PARTITIONS as usize) as i64;
    assert_eq!(ends, (0..PARTITIONS).map(|partition| (partition, each)).collect(), "none is missing");
    assignments.len()
}

/// Milliseconds from the record that lets a message go to the message, ascending.
fn delays(life: &[Delivered], said: &Said, groups: &[String]) -> Vec<i64> {
    let delay = |Delivered { partition, offset, at_ms, .. }: &Delivered| {
        let let_go = |group: &String| {
            let records = &said.get(&(group.clone(), *partition))?;
            records.iter().find(|(_, position)| position > offset).map(|(at, _)| *at)
        };
        let released = groups.iter().map(let_go).collect::<Option<Vec<_>>>()?.into_iter().max()?;
        Some((at_ms - released).max(0))
    };
    let mut delays: Vec<_> = life.iter().filter_map(delay).collect();
    delays.sort_unstable();
    delays
}

#[test]
fn real_a_follower_of_two_groups_outlives_brokers_and_hosts() {
    let mut cluster = KafkaCluster::start(&servers::folder("brokers"), 3).unwrap();
    let stage = Stage::new(&cluster.bootstrap());
    let (one, two) = (stage.start(0, "one"), stage.start(1, "two"));
    let (witness, delivered) = channel();
    let stage = &stage;
    let (lives, said, checks) = std::thread::scope(|scope| {
        let listening = scope.spawn(|| stage.listen());
        let checking = scope.spawn(move || stage.check(delivered));
        scope.spawn(|| stage.send());
        let trouble = scope.spawn(|| stage.trouble(&mut cluster, one));
        let lives = [MESSAGES * 7 / 10, MESSAGES].map(|enough| stage.follow(enough, &witness));
        drop(witness);
        stage.is_over.store(true, Ordering::Relaxed);
        let one = trouble.join().unwrap();
        for host in [one, two] {
            assert_eq!(host.terminate().unwrap().code(), Some(143));
        }
        (lives, listening.join().unwrap(), checking.join().unwrap())
    });
    let assignments = is_whole_and_in_order(&lives);
    let left = kafka::read_all(stage.kafka(), LOG).unwrap().len();
    let records: usize = said.values().map(Vec::len).sum();
    assert!(left < records, "the log was compacted: {left} of {records}");
    let groups = stage.beds.each_ref().map(Bed::group);
    let delays = delays(&lives[0], &said, &groups);
    assert!(!delays.is_empty());
    assert!(
        delays[delays.len() - 1] < 30_000,
        "a follower must not stand still because brokers come and go: {delays:?}"
    );
    let at = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize];
    println!(
        "{MESSAGES} messages in {} + {} deliveries of {assignments} assignments of a partition, {checks} checks; {left} of {records} records left in the log; after its \
         record a message came within p50 {}, p99 {}, max {} ms",
        lives[0].len(),
        lives[1].len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}
