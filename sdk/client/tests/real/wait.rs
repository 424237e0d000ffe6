//! Waiting until a message is written, on a real Kafka.

use std::time::{Duration, Instant};

use tidegate_client::{CommitLog, LogSettings, Partition, Token, WaitError};

use crate::broker::{Host, add_partitions, block_on, create, create_log, eventually, kafka};

const SETTINGS: LogSettings =
    LogSettings { repair: Some(Duration::from_millis(300)), refresh: Duration::from_millis(500) };

fn token(topic: &str, offset: i64) -> Token {
    Token::of_message(Partition::new(topic, 0), offset)
}

#[test]
fn real_waiters_are_let_go_when_all_groups_are_there_and_not_before() {
    create("awaited", 1);
    create_log("awaited-log", 1);
    let host = Host::new("awaited", 1, "awaited-log", &["a", "b"]);
    let log = CommitLog::start(&kafka(), "awaited-log", SETTINGS).unwrap();
    let wait = |offset| log.wait_for(&token("awaited", offset), &["a", "b"], Duration::from_secs(60));
    let waits: Vec<_> = (0..1000).map(|offset| (offset, wait(offset))).collect();
    eventually("all wait", || log.status().waiting == 1000);
    let (host, late) = std::thread::scope(|scope| {
        let host = &host;
        scope.spawn(move || {
            for position in (100..=1000).step_by(100) {
                host.advance(0, 0, position);
                host.advance(1, 0, position);
            }
        });
        for (offset, wait) in waits {
            wait.wait().unwrap();
            assert!(offset < host.durable(0), "{offset} was let go early");
        }
        (host, log.status().waiting)
    });
    assert_eq!(late, 0);
    // What is written already is answered at once, also when its record was lost.
    host.write(0, 0, 1001);
    host.commit(0, 0, 1001);
    host.write(1, 0, 1001);
    host.commit(1, 0, 1001);
    wait(1000).wait().unwrap();
}

#[test]
fn real_a_timeout_says_how_far_each_group_has_come() {
    create_log("timed-log", 1);
    create("timed", 1);
    let host = Host::new("timed", 1, "timed-log", &["here"]);
    host.advance(0, 0, 7);
    let log = CommitLog::start(&kafka(), "timed-log", LogSettings { repair: None, ..SETTINGS }).unwrap();
    block_on(async move {
        log.wait_for(&token("timed", 6), &["here"], Duration::from_secs(30)).await.unwrap();
        let (started, timeout) = (Instant::now(), Duration::from_millis(200));
        let error = log.wait_for(&token("timed", 7), &["here", "nowhere"], timeout).await.unwrap_err();
        let reached = vec![("here".to_owned(), Some(7)), ("nowhere".to_owned(), None)];
        assert_eq!(error, WaitError::TimedOut { token: token("timed", 7), timeout, reached });
        let took = started.elapsed();
        assert!(took >= timeout && took < Duration::from_secs(5), "{took:?}");
        assert_eq!(
            error.to_string(),
            "timed/0@8 was not written within 200ms: group \"here\" has come to 7, of group \"nowhere\" nothing is known"
        );
        assert_eq!(log.wait_for(&token("timed", 0), &[], timeout).await, Err(WaitError::NoGroups));
        drop(log.wait_for(&token("timed", 9), &["here"], Duration::from_secs(60)));
        assert_eq!(log.status().waiting, 0);
        let abandoned = log.wait_for(&token("timed", 9), &["here"], Duration::from_secs(60));
        drop(log);
        assert_eq!(abandoned.await, Err(WaitError::Ended));
    });
}

/// A log that is not there yet opens nothing; when it comes, and when it grows, it is read.
#[test]
fn real_a_log_that_comes_later_and_grows_is_read() {
    create("later", 1);
    let log = CommitLog::start(&kafka(), "later-log", LogSettings { repair: None, ..SETTINGS }).unwrap();
    let first = log.wait_for(&token("later", 0), &["w"], Duration::from_secs(60));
    create_log("later-log", 1);
    let host = Host::new("later", 1, "later-log", &["w"]);
    host.advance(0, 0, 1);
    first.wait().unwrap();
    add_partitions("later-log", 2);
    let second = log.wait_for(&token("later", 1), &["w"], Duration::from_secs(60));
    // The producer of before does not know the new partition yet.
    Host::new("later", 1, "later-log", &["w"]).publish_record(&host.record(0, 0, 2), 1);
    second.wait().unwrap();
}
