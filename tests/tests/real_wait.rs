//! `tidegate wait` and `GET /wait`: they return when the rows can be read and not before, and say how far a group has come
//! if they give up.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

use tidegate_tests::pipeline::Bed;
use tidegate_tests::servers::built;

const MESSAGES: u64 = 3_000;

fn wait(bed: &Bed, arguments: &[&str]) -> Output {
    let file = bed.folder.join("wait.yaml");
    std::fs::write(&file, bed.config().replace("{admin}", "127.0.0.1:0")).unwrap();
    Command::new(built("tidegate")).arg("wait").arg(&file).args(arguments).output().unwrap()
}

#[test]
fn real_waiting_ends_when_the_rows_are_there() {
    let bed = Bed::new("waited", 1).unwrap();
    bed.send((0..MESSAGES).map(|id| (id, "row"))).unwrap();
    let offset = (MESSAGES - 1).to_string();
    let message = ["--topic", "waited-in", "--partition", "0", "--offset", &offset];

    let early = wait(&bed, &[&message[..], &["--timeout", "1500ms"]].concat());
    let said = String::from_utf8_lossy(&early.stderr);
    assert_eq!(early.status.code(), Some(1), "{said}");
    let what =
        format!("waited-in/0@{MESSAGES} was not written within 1.5s: of group \"waited-group\" nothing is known");
    assert!(said.contains(&what), "{said}");

    let tidegate = bed.start("one").unwrap();
    let in_time = wait(&bed, &message);
    let written = bed.database.number("SELECT uniqExact(id) FROM poison").unwrap();
    assert_eq!(in_time.status.code(), Some(0), "{}\n{}", String::from_utf8_lossy(&in_time.stderr), tidegate.log());
    assert_eq!(written, MESSAGES);
    let printed = String::from_utf8_lossy(&in_time.stdout);
    assert!(printed.starts_with(&format!("waited-in/0@{MESSAGES} is written by waited-group (")), "{printed}");

    let beyond = format!("waited-in/0@{}", MESSAGES + 1);
    let late = wait(&bed, &["--token", &beyond, "--group", "waited-group", "--timeout", "1s"]);
    let said = String::from_utf8_lossy(&late.stderr);
    assert_eq!(late.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("group \"waited-group\" has come to {MESSAGES}")), "{said}");

    for (wrong, why) in [
        (["--token", "waited-in/0@5", "--group", "others"], "those that do are of waited-group"),
        (["--token", "elsewhere/0@5", "--timeout", "1s"], "no pipeline with a commit log reads topic \"elsewhere\""),
        (["--token", "waited-in", "--timeout", "1s"], "a token is TOPIC/PARTITION@POSITION"),
    ] {
        let refused = wait(&bed, &wrong);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains(why), "{said}");
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
    assert_eq!(tidegate.terminate().unwrap().code(), Some(143));
}
