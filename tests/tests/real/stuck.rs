//! Calls that cannot be cut off and do not return. In a file of its own: their threads take the processors from whatever runs
//! beside them.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::time::Duration;

use tidegate_tests::pipeline::Bed;
use tidegate_tests::tidegate::wait_until;

/// Where calls cannot be cut off, too many that do not return hold the pipeline, and say the way out; it is taken here.
#[test]
fn calls_that_do_not_return_hold_the_pipeline_and_lose_nothing() {
    const MESSAGES: u64 = 2_000;
    const LOOPS: [u64; 3] = [500, 1000, 1500];
    let mut bed = Bed::new("stuck-calls", 2).unwrap();
    let interruptible = bed.module.clone();
    bed.module.push_str(", interruption: off");
    bed.more = "drain_timeout: 3s".into();
    let first = bed.start("off").unwrap();
    bed.send((0..MESSAGES).map(|id| (id, if LOOPS.contains(&id) { "loop" } else { "row" }))).unwrap();
    let held = "has 4 calls that do not return, and no more are made";
    wait_until(Duration::from_secs(60), || Ok(first.get("/status")?.contains(held)))
        .unwrap_or_else(|error| panic!("{error}\n{}", first.log()));
    assert!(first.get("/readyz").unwrap().contains("`interruption: epoch` cuts such calls off; a restart ends these"));
    assert!(!bed.is_done().unwrap(), "what is not processed is not committed");
    assert_eq!(first.terminate().unwrap().code(), Some(143));
    bed.module = interruptible;
    let second = bed.start("epoch").unwrap();
    wait_until(Duration::from_secs(60), || bed.is_done()).unwrap_or_else(|error| panic!("{error}\n{}", second.log()));
    assert_eq!(second.terminate().unwrap().code(), Some(143));
    let letters = bed.letters().unwrap();
    let ids: BTreeSet<u64> =
        letters.iter().map(|letter| String::from_utf8_lossy(&letter.key).parse().unwrap()).collect();
    assert_eq!(ids, LOOPS.into());
    assert!(letters.iter().all(|letter| letter.headers["tidegate-reason"] == "deadline"));
    assert_eq!(bed.database.number("SELECT uniqExact(id) FROM poison").unwrap(), MESSAGES - LOOPS.len() as u64);
}
