//! `tidegate offsets show|reset` on real servers: a pipeline is moved only while nobody runs it, followers hear of it before it
//! goes back, and what is skipped stays known.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use tidegate_client::{CommitLog, LogSettings, Partition, Record, Token};
use tidegate_tests::kafka;
use tidegate_tests::pipeline::{Answer, Bed};
use tidegate_tests::tidegate::{Tidegate, wait_until};

/// A pipeline of two partitions with a hundred rows each.
struct Moved {
    bed: Bed,
}

impl Moved {
    fn new(name: &str) -> Self {
        let bed = Bed::new(name, 2).unwrap();
        bed.send((0..200).map(|id| (id, "row"))).unwrap();
        let this = Self { bed };
        this.write_all("first");
        this
    }

    fn write_all(&self, process: &str) {
        let tidegate = self.running(process);
        assert_eq!(tidegate.terminate().unwrap().code(), Some(143));
    }

    /// A process that has written everything.
    fn running(&self, process: &str) -> Tidegate {
        let tidegate = self.bed.start(process).unwrap();
        // A topic that was made just now is not known everywhere at once.
        let said = || {
            let ends = kafka::ends(&self.bed.kafka, &self.bed.topic());
            Ok(ends.is_ok_and(|ends| {
                self.bed.is_done().unwrap_or(false) && self.bed.said().is_ok_and(|said| said == ends)
            }))
        };
        wait_until(Duration::from_secs(120), said).unwrap_or_else(|error| panic!("{error}\n{}", tidegate.log()));
        tidegate
    }

    fn reset(&self, arguments: &[&str]) -> Answer {
        let pipeline = ["--pipeline", &self.bed.name];
        self.bed.command(&["offsets", "reset"], &[&pipeline, arguments].concat()).unwrap()
    }

    fn done(&self, arguments: &[&str]) -> String {
        let answer = self.reset(&[arguments, &["--execute"]].concat());
        assert_eq!(answer.code, Some(0), "{}{}", answer.out, answer.err);
        assert!(answer.out.ends_with("done\n"), "{}", answer.out);
        answer.out
    }

    fn committed(&self) -> Vec<i64> {
        kafka::committed(&self.bed.kafka, &self.bed.group(), &self.bed.topic()).unwrap().into_values().collect()
    }

    /// Committed and said of each partition, as `offsets show` prints them.
    fn shown(&self) -> Vec<(i64, i64)> {
        let answer = self.bed.command(&["offsets", "show"], &["--json"]).unwrap().json().unwrap();
        let of = |partition: &serde_json::Value| {
            (partition["committed"].as_i64().unwrap(), partition["log"].as_i64().unwrap())
        };
        answer["partitions"].as_array().unwrap().iter().map(of).collect()
    }

    fn verified(&self) -> Answer {
        self.bed.command(&["commit-log", "verify"], &[]).unwrap()
    }
}

#[test]
fn nothing_moves_while_somebody_runs_it_or_without_being_told_to() {
    let moved = Moved::new("guarded");
    let running = moved.running("second");
    let refused = moved.reset(&["--to", "earliest", "--execute"]);
    assert_eq!(refused.code, Some(1), "{}{}", refused.out, refused.err);
    let who = "error: group \"guarded-group\" has members: tidegate from /127.0.0.1";
    assert!(refused.err.contains(who) && refused.err.contains("hint: stop them"), "{}", refused.err);
    assert_eq!(moved.committed(), [100, 100]);
    assert_eq!(running.terminate().unwrap().code(), Some(143));

    let plan = moved.reset(&["--to", "40", "--partition", "1"]);
    assert_eq!(plan.code, Some(0), "{}", plan.err);
    let expected = "\
pipeline guarded: group guarded-group, topic guarded-in
PARTITION     COMMITTED  LOG  TO  EPOCH  WHAT
guarded-in/1  100        100  40  1      60 offset(s) are done again: [40..100)
- 60 offset(s) are done again: replacements, rewrites and dead letters of these messages, too
- storage poison: rows are there twice; deduplication windows know whole batches, and batches are cut anew
- remove these rows before the pipeline starts again where they must not be twice
- followers of group guarded-group hold back what is behind the new positions until it is written again (a new epoch says so)
nothing was changed; --execute does it
";
    assert_eq!(plan.out, expected);
    assert_eq!((moved.committed(), moved.shown()), (vec![100, 100], vec![(100, 100), (100, 100)]));

    for (to, from) in [("1970-01-01T00:00:00Z", 0), ("100h-ago", 0), ("0s-ago", 100), ("latest", 100)] {
        let plan = moved.reset(&["--to", to, "--json"]).json().unwrap();
        let expected = if from == 100 { 0 } else { 2 };
        let moves = plan["moves"].as_array().unwrap();
        assert!(moves.len() == expected && moves.iter().all(|one| one["to"] == from), "{to}: {plan}");
        assert_eq!(plan["executed"], false);
    }
    for (wrong, why) in [
        (&["--to", "101"][..], "guarded-in/0: it has [0..100), and 101 is not in there"),
        (&["--to", "5", "--partition", "2"], "topic \"guarded-in\" has no partition 2; it has 2"),
        (&["--to", "yesterday"], "write earliest, latest, an offset, a time in UTC"),
    ] {
        let refused = moved.reset(wrong);
        assert_eq!(refused.code, Some(2), "{}{}", refused.out, refused.err);
        assert!(refused.err.contains(why), "{}", refused.err);
    }
    let unknown = moved.bed.command(&["offsets", "reset"], &["--pipeline", "other", "--to", "5"]).unwrap();
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.err.contains("there is no pipeline \"other\"\n\nhint: known are guarded"), "{}", unknown.err);
}

#[test]
fn followers_of_a_pipeline_that_goes_back_wait_until_it_is_there_again() {
    let moved = Moved::new("rewound");
    let log =
        CommitLog::start(&kafka::config(&moved.bed.kafka), &moved.bed.commit_log(), LogSettings::default()).unwrap();
    let wait = |partition, timeout| {
        let token = Token::of_message(Partition::new(moved.bed.topic(), partition), 99);
        log.wait_for(&token, &[&moved.bed.group()], timeout).wait()
    };
    let long = Duration::from_secs(30);
    wait(0, long).unwrap();
    wait(1, long).unwrap();

    let printed = moved.done(&["--to", "40", "--partition", "0"]);
    assert!(printed.contains("60 offset(s) are done again: [40..100)"), "{printed}");
    assert_eq!(moved.shown(), [(40, 40), (100, 100)]);
    let records = kafka::read_all(&moved.bed.kafka, &moved.bed.commit_log()).unwrap();
    let records = records.iter().map(|read| Record::decode(&read.key, read.value.as_deref().unwrap(), None).unwrap());
    let records: Vec<_> = records.filter(|record| record.partition == 0).collect();
    let [.., before, rewound] = &records[..] else { panic!("{records:?}") };
    assert_eq!(*rewound, Record { offset: 40, epoch: 1, received_p99: None, counts: None, ..before.clone() });
    // The log is read in a thread of its own; a record is there within a moment.
    let held = || Ok(wait(0, Duration::from_millis(500)).is_err());
    wait_until(long, held).unwrap();
    let told = wait(0, Duration::from_secs(2)).unwrap_err().to_string();
    assert!(told.contains("group \"rewound-group\" has come to 40"), "{told}");
    wait(1, long).unwrap();
    assert_eq!(
        moved.reset(&["--to", "40", "--partition", "0"]).out.lines().nth(1),
        Some("rewound-in/0 is there already")
    );

    moved.write_all("second");
    wait(0, long).unwrap();
    assert_eq!(moved.shown(), [(100, 100), (100, 100)]);
    let verified = moved.verified();
    assert_eq!(verified.code, Some(4), "{}{}", verified.out, verified.err);
    let double = "double     rewound-in/0 [40..100)  storage poison  expected 60 row(s), found 120";
    assert!(verified.out.contains(double), "{}", verified.out);
    assert!(verified.out.contains("rewound    rewound-in/0 [40..100)  epoch 1 went back from 100"), "{}", verified.out);
    let removed = "ALTER TABLE poison DELETE WHERE partition = 0 AND offset >= 40 SETTINGS mutations_sync = 2";
    moved.bed.database.run(removed).unwrap();
    moved.done(&["--to", "40", "--partition", "0"]);
    moved.write_all("third");
    let verified = moved.verified();
    assert_eq!(verified.code, Some(0), "removed, then done again: {}{}", verified.out, verified.err);
}

#[test]
fn what_a_pipeline_is_moved_over_is_skipped_for_ever_and_verify_names_it() {
    let moved = Moved::new("jumped");
    moved.bed.send((200..300).map(|id| (id, "row"))).unwrap();
    let printed = moved.done(&["--to", "latest", "--partition", "1"]);
    for part in [
        "50 offset(s) are skipped for ever: [100..150)",
        "- jumped-in/1 [100..150) is never written; followers take it",
    ] {
        assert!(printed.contains(part), "{printed}");
    }
    assert_eq!(moved.shown(), [(100, 100), (150, 150)]);
    let skipped = "skipped    jumped-in/1 [100..150)  the position went over these 50 offset(s), and no record closes them: \
        storage poison has rows of 0";
    for process in ["second", "third"] {
        let verified = moved.verified();
        assert_eq!(verified.code, Some(4), "{}{}", verified.out, verified.err);
        assert!(verified.out.contains(skipped), "{}", verified.out);
        assert_eq!(verified.out.matches("\n  skipped ").count(), 1, "{}", verified.out);
        moved.write_all(process);
    }
    assert_eq!(moved.bed.database.number("SELECT uniqExact(partition, offset) FROM poison").unwrap(), 250);
}

/// The group goes where its last pipeline is; the other one does nothing twice.
#[test]
fn the_other_pipeline_of_the_group_stays_where_it_is() {
    let bed = Bed::new("paired", 1).unwrap();
    bed.database.run("CREATE TABLE copy AS poison").unwrap();
    let config = bed.config_with_copy("main", "");
    let run = |process: &str| {
        let tidegate = Tidegate::run(&bed.folder, process, &config).unwrap();
        let ends = kafka::ends(&bed.kafka, &bed.topic()).unwrap();
        let done = || Ok(bed.said_of("copy")? == ends && bed.said()? == ends && bed.is_done()?);
        wait_until(Duration::from_secs(120), done).unwrap_or_else(|error| panic!("{error}\n{}", tidegate.log()));
        assert_eq!(tidegate.terminate().unwrap().code(), Some(143));
    };
    bed.send((0..100).map(|id| (id, "row"))).unwrap();
    run("first");
    let arguments = ["--pipeline", "paired", "--to", "40", "--execute"];
    let answer = bed.command_of(&config, &["offsets", "reset"], &arguments).unwrap();
    assert_eq!(answer.code, Some(0), "{}{}", answer.out, answer.err);
    let stays = "- pipeline copy of the same group stays at paired-in/0@100; the group goes to 40";
    assert!(answer.out.contains(stays), "{}", answer.out);
    let shown = bed.command_of(&config, &["offsets", "show"], &[]).unwrap().out;
    for (pipeline, position) in [("paired", 40), ("copy", 100)] {
        let line = shown.lines().find(|line| line.starts_with(&format!("{pipeline} "))).unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        let position = position.to_string();
        assert_eq!(words[3..5], [position.as_str(), position.as_str()], "{shown}");
    }
    bed.send((100..120).map(|id| (id, "row"))).unwrap();
    run("second");
    let number = |sql: &str| bed.database.number(sql).unwrap();
    assert_eq!(number("SELECT count() FROM copy"), 120, "once each");
    assert_eq!((number("SELECT count() FROM poison"), number("SELECT uniqExact(id) FROM poison")), (180, 120));
}

/// The log takes no record: whoever goes back stays where it is, whoever goes forward is there, and the log says neither.
#[test]
fn a_move_that_fails_half_way_never_says_more_than_is_done() {
    let bed = Bed::new("halfway", 1).unwrap();
    bed.send((0..100).map(|id| (id, "row"))).unwrap();
    tidegate_tests::runtime().block_on(async {
        let admin: AdminClient<DefaultClientContext> = kafka::config(&bed.kafka).create().unwrap();
        let narrow = NewTopic::new("halfway-narrow", 1, TopicReplication::Fixed(1)).set("max.message.bytes", "60");
        assert!(admin.create_topics(&[narrow], &AdminOptions::new()).await.unwrap()[0].is_ok());
    });
    let config = bed.config().replace(&bed.commit_log(), "halfway-narrow");
    // The group's coordinator may be new.
    let committed = || Ok(kafka::commit(&bed.kafka, &bed.group(), &bed.topic(), [(0, 50)]).is_ok());
    wait_until(Duration::from_secs(30), committed).unwrap();
    for (to, committed) in [("20", 50), ("80", 80)] {
        let arguments = ["--pipeline", "halfway", "--to", to, "--execute"];
        let answer = bed.command_of(&config, &["offsets", "reset"], &arguments).unwrap();
        assert_eq!(answer.code, Some(1), "{}{}", answer.out, answer.err);
        assert!(answer.err.contains("error: failed to tell followers: "), "{}", answer.err);
        let shown = bed.command_of(&config, &["offsets", "show"], &["--json"]).unwrap().json().unwrap();
        let partition = &shown["partitions"][0];
        assert_eq!((partition["committed"].as_i64(), partition["log"].as_i64()), (Some(committed), None), "to {to}");
    }
}
