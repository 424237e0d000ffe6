//! `tidegate wait` and `GET /wait`: they return when the rows can be read and not before, and say how far a group has come
//! if they give up.

#![allow(clippy::unwrap_used)]

use tidegate_tests::pipeline::{Answer, Bed};

const MESSAGES: u64 = 3_000;

fn wait(bed: &Bed, arguments: &[&str]) -> Answer {
    bed.command(&["wait"], arguments).unwrap()
}

#[test]
fn waiting_ends_when_the_rows_are_there() {
    let bed = Bed::new("waited", 1).unwrap();
    bed.send((0..MESSAGES).map(|id| (id, "row"))).unwrap();
    let offset = (MESSAGES - 1).to_string();
    let message = ["--topic", "waited-in", "--partition", "0", "--offset", &offset];

    let early = wait(&bed, &[&message[..], &["--timeout", "1500ms"]].concat());
    assert_eq!(early.code, Some(1), "{}", early.err);
    let what =
        format!("waited-in/0@{MESSAGES} was not written within 1.5s: of group \"waited-group\" nothing is known");
    assert!(early.err.contains(&what), "{}", early.err);

    let tidegate = bed.start("one").unwrap();
    let in_time = wait(&bed, &message);
    let written = bed.database.number("SELECT uniqExact(id) FROM poison").unwrap();
    assert_eq!(in_time.code, Some(0), "{}\n{}", in_time.err, tidegate.log());
    assert_eq!(written, MESSAGES);
    let written = format!("waited-in/0@{MESSAGES} is written by waited-group (");
    assert!(in_time.out.starts_with(&written), "{}", in_time.out);

    let beyond = format!("waited-in/0@{}", MESSAGES + 1);
    let late = wait(&bed, &["--token", &beyond, "--group", "waited-group", "--timeout", "1s"]);
    assert_eq!(late.code, Some(1), "{}", late.err);
    assert!(late.err.contains(&format!("group \"waited-group\" has come to {MESSAGES}")), "{}", late.err);

    for (wrong, why) in [
        (["--token", "waited-in/0@5", "--group", "others"], "those that do are of waited-group"),
        (["--token", "elsewhere/0@5", "--timeout", "1s"], "no pipeline with a commit log reads topic \"elsewhere\""),
        (["--token", "waited-in", "--timeout", "1s"], "a token is TOPIC/PARTITION@POSITION"),
    ] {
        let refused = wait(&bed, &wrong);
        assert_eq!(refused.code, Some(2), "{}", refused.err);
        assert!(refused.err.contains(why), "{}", refused.err);
    }
    for (question, answer) in [
        (format!("topic=waited-in&partition=0&offset={offset}"), r#""groups":["waited-group"],"#),
        (format!("token=waited-in/0@{MESSAGES}&group=waited-group"), r#""groups":["waited-group"],"#),
        (format!("token={beyond}&timeout=500ms"), r#""reached":{"waited-group":3000}"#),
        (format!("token={beyond}&group=others"), "those that do are of waited-group"),
        (format!("token={beyond}&wait=1s"), r#"there is no \"wait\" here"#),
    ] {
        let told = tidegate.get(&format!("/wait?{question}")).unwrap();
        assert!(told.contains(answer), "{told}");
    }
    assert!(!tidegate.log().contains("ERROR"), "{}", tidegate.log());
    assert_eq!(tidegate.terminate().unwrap().code(), Some(143));
}
