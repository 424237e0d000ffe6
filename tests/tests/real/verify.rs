//! `tidegate commit-log verify|show` on real servers: a log that is true is clean, and what was done to rows and positions
//! behind its back is found, with its place. `TIDEGATE_VERIFY_MESSAGES` sets how many messages there are.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate::clickhouse::Comparable;
use tidegate_tests::kafka;
use tidegate_tests::pipeline::{Answer, Bed};
use tidegate_tests::servers;
use tidegate_tests::tidegate::wait_until;

const VERIFY: &[&str] = &["commit-log", "verify"];

fn messages() -> u64 {
    std::env::var("TIDEGATE_VERIFY_MESSAGES").map_or(100_000, |count| count.parse().unwrap())
}

/// Runs the pipeline until it has written everything.
fn write_all(bed: &Bed, process: &str) {
    let tidegate = bed.start(process).unwrap();
    wait_until(Duration::from_secs(600), || bed.is_done())
        .unwrap_or_else(|error| panic!("{error}\n{}", tidegate.log()));
    assert_eq!(tidegate.terminate().unwrap().code(), Some(143));
}

fn verify(bed: &Bed) -> Answer {
    bed.command(VERIFY, &[]).unwrap()
}

fn assert_clean(bed: &Bed) -> Answer {
    let answer = verify(bed);
    assert_eq!(answer.code, Some(0), "{}{}", answer.out, answer.err);
    assert!(answer.out.ends_with("  clean\n"), "{}", answer.out);
    answer
}

/// What is wrong, in lines.
fn wrong(bed: &Bed) -> Vec<String> {
    let answer = verify(bed);
    assert_eq!(answer.code, Some(4), "{}{}", answer.out, answer.err);
    let kinds = ["missing", "double", "skipped", "deleted", "position", "went back", "sums"];
    let lines = answer.out.lines().map(str::trim_start);
    lines.filter(|line| kinds.iter().any(|kind| line.starts_with(kind))).map(str::to_owned).collect()
}

/// The last of four partitions has messages that become no rows.
fn send(bed: &Bed, ids: std::ops::Range<u64>) {
    let deed = |id: u64| match (id % 4, id % 7) {
        (3, 0) => "skip",
        (3, 1) => "not-json",
        _ => "row",
    };
    bed.send(ids.map(|id| (id, deed(id)))).unwrap();
}

#[test]
fn what_was_done_behind_the_logs_back_is_found_with_its_place() {
    let bed = Bed::new("verified", 4).unwrap();
    let count = messages();
    send(&bed, 0..count);
    let tidegate = bed.start("first").unwrap();
    wait_until(Duration::from_secs(60), || Ok(!bed.said()?.is_empty())).unwrap();
    assert_clean(&bed);
    wait_until(Duration::from_secs(600), || bed.is_done())
        .unwrap_or_else(|error| panic!("{error}\n{}", tidegate.log()));
    assert_eq!(tidegate.terminate().unwrap().code(), Some(143));

    let started = Instant::now();
    let clean = assert_clean(&bed);
    println!("{count} messages are verified in {:.1} s", started.elapsed().as_secs_f64());
    let rows = bed.database.number("SELECT count() FROM poison").unwrap();
    assert!(rows < count && rows > count * 9 / 10);
    let said = bed.command(VERIFY, &["--json"]).unwrap().json().unwrap();
    let sum = |of: &dyn Fn(&Value) -> u64| said["partitions"].as_array().unwrap().iter().map(of).sum::<u64>();
    assert_eq!(sum(&|partition| partition["counts"]["messages"].as_u64().unwrap()), count, "{}", clean.out);
    assert_eq!(sum(&|partition| partition["storages"]["poison"]["expected"].as_u64().unwrap()), rows);
    assert_eq!(sum(&|partition| partition["storages"]["poison"]["found"].as_u64().unwrap()), rows);
    assert_eq!((&said["clean"], &said["findings"]), (&Value::Bool(true), &Value::Array(Vec::new())));

    let delete = "ALTER TABLE poison DELETE WHERE";
    let done = "SETTINGS mutations_sync = 2";
    bed.database.run(&format!("{delete} partition = 0 AND offset = 1042 {done}")).unwrap();
    let missing = "missing    verified-in/0@1042  storage poison  expected 1 row(s), found 0";
    assert_eq!(wrong(&bed), [missing]);

    bed.database
        .run("INSERT INTO poison SELECT * FROM poison WHERE partition = 1 AND offset >= 2000 AND offset < 3000")
        .unwrap();
    let double = "double     verified-in/1 [2000..3000)  storage poison  expected 1000 row(s), found 2000";
    assert_eq!(wrong(&bed), [missing, double]);

    let end = kafka::ends(&bed.kafka, &bed.topic()).unwrap()[&2];
    send(&bed, count..count + 4000);
    kafka::commit(&bed.kafka, &bed.group(), &bed.topic(), [(2, end + 100)]).unwrap();
    let skipped = format!(
        "skipped    verified-in/2 [{end}..{})  the position went over these 100 offset(s), and no record closes them: \
         storage poison has rows of 0",
        end + 100
    );
    assert_eq!(wrong(&bed), [missing, double, skipped.as_str()], "before it runs again");
    write_all(&bed, "second");
    assert_eq!(wrong(&bed), [missing, double, skipped.as_str()], "and after");

    // Where messages became no rows, the log does not say which.
    let offset = bed.database.number("SELECT max(offset) FROM poison WHERE partition = 3").unwrap();
    bed.database.run(&format!("{delete} partition = 3 AND offset = {offset} {done}")).unwrap();
    let found = wrong(&bed);
    let among = found.iter().find(|line| line.starts_with("missing    verified-in/3 [")).unwrap();
    assert!(among.contains(" offset(s) without rows: [") && found.len() == 4, "{found:?}");
}

#[test]
fn a_group_that_was_set_back_and_a_log_that_lost_records_are_told() {
    let bed = Bed::new("lost", 1).unwrap();
    bed.send((0..2000).map(|id| (id, "row"))).unwrap();
    write_all(&bed, "first");
    bed.send((2000..3000).map(|id| (id, "row"))).unwrap();
    write_all(&bed, "second");
    assert_clean(&bed);
    let show = |arguments: &[&str]| bed.command(&["commit-log", "show"], arguments).unwrap();
    let shown = show(&["--json"]).json().unwrap();
    let of = |name: &str| shown[name].as_i64().unwrap();
    assert_eq!([of("position"), of("committed"), of("end"), of("lag")], [3000, 3000, 3000, 0]);
    assert_eq!((&shown["mark"], &shown["counts"]["storages"]["poison"]), (&Value::Null, &Value::from(3000)));
    assert!(shown["age_s"].as_f64().unwrap() < 600.0, "{shown}");

    kafka::commit(&bed.kafka, &bed.group(), &bed.topic(), [(0, 2500)]).unwrap();
    let position = "position   lost-in/0 [2500..3000)  the log says 3000, and the group has committed 2500: it was set back, \
        and followers were not told";
    assert_eq!(wrong(&bed), [position]);
    let text = show(&[]).out;
    let line = text.lines().find(|line| line.starts_with("lost-in/0")).unwrap();
    assert!(line.ends_with("! the group was set back, and followers were not told"), "{text}");
    kafka::commit(&bed.kafka, &bed.group(), &bed.topic(), [(0, 3000)]).unwrap();

    // All but the last that counts something, and what follows it.
    let log = kafka::read_all(&bed.kafka, &bed.commit_log()).unwrap();
    let counts =
        |read: &&kafka::Read| String::from_utf8_lossy(read.value.as_deref().unwrap_or_default()).contains("counts");
    let last = log.iter().rfind(counts).unwrap();
    let record = tidegate::commit_log::Record::decode(&last.key, last.value.as_deref().unwrap(), None).unwrap();
    let begins = record.counts.unwrap().start.unwrap();
    assert!(begins >= 2000, "the second process began there: {begins}");
    tidegate_tests::runtime().block_on(kafka::delete_before(&bed.kafka, &bed.commit_log(), 0, last.offset)).unwrap();
    let told = assert_clean(&bed).out;
    let unknown = format!("not known  lost-in/0 [0..{begins})  what closes it is not in the log any more");
    assert!(told.contains(&unknown), "{told}");
    let compared = format!("storage poison  {0} row(s) expected, {0} found", 3000 - begins);
    assert!(told.contains(&compared), "{told}");
}

/// Of rows with one key the last stays, so that fewer may be right; offsets that have none are told all the same.
#[test]
fn a_table_that_merges_is_understood() {
    let bed = Bed::new("merged", 1).unwrap();
    bed.database.run("DROP TABLE poison SYNC").unwrap();
    let columns = "id UInt64, kind Enum8('a' = 1, 'b' = 2), note Nullable(String), partition UInt16, offset UInt64";
    bed.database.run(&format!("CREATE TABLE poison ({columns}) ENGINE = ReplacingMergeTree ORDER BY id")).unwrap();
    bed.send((0..500).map(|id| (id, "row"))).unwrap();
    write_all(&bed, "first");
    bed.database.run("INSERT INTO poison SELECT * FROM poison WHERE id < 100").unwrap();
    let clean = assert_clean(&bed).out;
    assert!(!clean.contains("not known"), "doubles of one key are no finding: {clean}");
    bed.send((0..10).map(|id| (id, "row"))).unwrap();
    write_all(&bed, "second");
    bed.database.run("OPTIMIZE TABLE poison FINAL").unwrap();
    assert_eq!(bed.database.number("SELECT count() FROM poison").unwrap(), 500);
    let told = assert_clean(&bed).out;
    let replaced = "ReplacingMergeTree keeps the last row of each key: whether others replaced them is not known";
    assert!(told.contains(replaced), "{told}");
    bed.database
        .run("INSERT INTO poison SELECT id + 1000, kind, note, partition, offset + 5 FROM poison WHERE offset = 505")
        .unwrap();
    assert_clean(&bed);
}

/// Rows of an earlier topic have the same offsets; the log says how far it went.
#[test]
fn a_topic_that_was_made_anew_is_not_mixed_with_the_one_before() {
    let bed = Bed::new("made-anew", 1).unwrap();
    let earlier = r#"{"offset":700,"orig_message_ts":1.0,"received_p99":null,"topic_id":"earlier"}"#;
    let log = kafka::Sender::new(&bed.kafka, &bed.commit_log()).unwrap();
    log.send(Some(0), "made-anew-in:0:made-anew-group", Some(earlier.as_bytes())).unwrap();
    log.flush().unwrap();
    bed.database.run("INSERT INTO poison SELECT number, 'a', NULL, 0, number FROM numbers(700)").unwrap();
    bed.send((0..600).map(|id| (id, "row"))).unwrap();
    write_all(&bed, "first");
    bed.send((600..2000).map(|id| (id, "row"))).unwrap();
    write_all(&bed, "second");
    bed.send((2000..2500).map(|id| (id, "row"))).unwrap();
    write_all(&bed, "third");
    let told = assert_clean(&bed).out;
    let mixed = "not known  made-anew-in/0 [0..700)  the log has records of another topic of this name, earlier: rows of these \
        offsets cannot be told apart";
    assert!(told.contains(mixed), "{told}");
    bed.database.run("ALTER TABLE poison DELETE WHERE offset = 2345 SETTINGS mutations_sync = 2").unwrap();
    assert_eq!(wrong(&bed), ["missing    made-anew-in/0@2345  storage poison  expected 1 row(s), found 0"]);
}

/// What can be asked of a table is by its columns and by what its engine does with rows.
#[test]
fn tables_are_compared_as_far_as_they_can_be() {
    let database = servers::database("comparable");
    let columns = "(partition UInt16, offset UInt64)";
    for statement in [
        format!("CREATE TABLE plain {columns} ENGINE = MergeTree ORDER BY offset"),
        format!("CREATE TABLE merging {columns} ENGINE = ReplacingMergeTree ORDER BY offset"),
        format!("CREATE TABLE adding {columns} ENGINE = SummingMergeTree ORDER BY offset"),
        format!("CREATE TABLE gone {columns} ENGINE = Null"),
        "CREATE TABLE other (partition String, offset UInt64) ENGINE = MergeTree ORDER BY offset".to_owned(),
        "INSERT INTO other SELECT 'x', number FROM numbers(7)".to_owned(),
    ] {
        database.run(&statement).unwrap();
    }
    let runtime = tidegate_tests::runtime();
    let of = |table: &str| match runtime.block_on(Comparable::of(database.cluster(), table)).unwrap() {
        Comparable::ByOffset(table) => format!("{:?} {}", table.keeps, table.engine),
        Comparable::BySum { rows, keeps } => format!("{keeps:?} sum {rows}"),
        Comparable::Not(why) => why,
    };
    assert_eq!(of("plain"), "All MergeTree");
    assert_eq!(of("comparable.merging"), "LastOfKey ReplacingMergeTree");
    assert_eq!(of("other"), "All sum 7");
    assert_eq!(of("adding"), "engine SummingMergeTree does not keep the rows as they were written");
    assert_eq!(of("gone"), "engine Null does not keep the rows as they were written");
}
