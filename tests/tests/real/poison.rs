//! One message in a hundred is poison, of every kind: exactly those are dead-lettered, and everything else is written.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_tests::pipeline::Bed;
use tidegate_tests::tidegate::wait_until;

/// What is asked for, and the reason that the dead letter must give; none: it is a good message.
const KINDS: &[(&str, Option<&str>)] = &[
    ("not-json", Some("invalid")),
    ("wrong-version", Some("invalid")),
    ("missing-field", Some("invalid")),
    ("wrong-type", Some("invalid")),
    ("late", Some("invalid")),
    ("panic", Some("trap")),
    ("loop", Some("deadline")),
    ("bomb", Some("memory")),
    ("wrong-bytes", Some("invalid-row")),
    ("bad-enum", Some("invalid-row")),
    ("sneak", Some("invalid-answer")),
    ("skip", None),
    ("replace", None),
];

fn deed(id: u64) -> (&'static str, Option<&'static str>) {
    match id % 100 {
        37 => KINDS[(id / 100) as usize % KINDS.len()],
        _ => ("row", None),
    }
}

#[test]
fn exactly_the_poison_is_dead_lettered() {
    const MESSAGES: u64 = 20_000;
    let bed = Bed::new("poison", 4).unwrap();
    bed.send((0..MESSAGES).map(|id| (id, deed(id).0))).unwrap();
    let mut tidegate = bed.start("one").unwrap();
    wait_until(Duration::from_secs(180), || {
        assert!(tidegate.is_running(), "{}", tidegate.log());
        bed.is_done()
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", tidegate.log()));

    let mut expected: BTreeMap<u64, &str> = BTreeMap::new();
    let (mut rows, mut replacements) = (0, 0);
    for id in 0..MESSAGES {
        match deed(id) {
            (_, Some(reason)) => drop(expected.insert(id, reason)),
            ("row", None) => rows += 1,
            (kind, None) => replacements += u64::from(kind == "replace"),
        }
    }
    let letters = bed.letters().unwrap();
    let mut found = BTreeMap::new();
    for letter in &letters {
        let id: u64 = String::from_utf8_lossy(&letter.key).parse().unwrap();
        assert!(found.insert(id, letter.headers["tidegate-reason"].as_str()).is_none(), "message {id} twice");
        assert_eq!(letter.headers["tidegate-topic"], bed.topic());
        assert_eq!(letter.headers["tidegate-partition"], (id % 4).to_string());
        assert_eq!(letter.headers["tidegate-offset"], (id / 4).to_string());
        assert_eq!(letter.headers["tidegate-processor"], "poison");
        assert_eq!(letter.headers["tidegate-digest"].len(), 64);
    }
    assert_eq!(found, expected);
    assert_eq!(bed.database.number("SELECT uniqExact(id) FROM poison").unwrap(), rows);
    assert_eq!(bed.database.number("SELECT count() FROM poison").unwrap(), rows);
    let published = tidegate_tests::kafka::read_all(&bed.kafka, &bed.replacements()).unwrap();
    assert_eq!(published.len() as u64, replacements);

    let metrics = tidegate.get("/metrics").unwrap();
    let sum = |name: &str| -> f64 {
        let lines = metrics.lines().filter(|line| line.starts_with(name));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    assert_eq!(sum("tidegate_outcomes_total{"), MESSAGES as f64, "outcomes sum to messages read");
    assert_eq!(sum("tidegate_messages_total{"), MESSAGES as f64);
    assert!(sum("tidegate_processor_failures_total{") > 0.0);
    assert_eq!(tidegate.terminate().unwrap().code(), Some(143));
    println!("{rows} rows, {replacements} replacements, {} dead letters", letters.len());
}
