//! Publishing and tailing on the real Kafka: what is acknowledged is there, whole and in order.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tidegate::kafka::{Brokers, Publisher, Seen, Tail, tail};
use tidegate::publish::{Publish, Record};
use tidegate_tests::{kafka, servers};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

fn brokers() -> Brokers {
    Brokers { bootstrap: servers::kafka(), ..Brokers::default() }
}

fn record(topic: &str, key: Option<&str>, value: Option<&str>) -> Record {
    let bytes = |text: &str| text.as_bytes().to_vec();
    let headers = vec![("orig_message_ts".to_owned(), b"12.5".to_vec())];
    Record { topic: topic.into(), key: key.map(bytes), value: value.map(bytes), headers }
}

fn publish(topic: &str, records: &[(Option<&str>, Option<&str>)]) {
    runtime().block_on(async {
        kafka::create_topics(&servers::kafka(), &[(topic, 3)]).await.unwrap();
        let publisher = Publisher::new(&brokers()).unwrap();
        publisher.warm_up(vec![topic.to_owned()]).await;
        for (key, value) in records {
            publisher.publish(record(topic, *key, *value)).await.unwrap();
        }
    });
}

#[test]
fn what_is_acknowledged_is_there_with_key_value_and_headers() {
    publish("published", &[(Some("a"), Some("1")), (Some("b"), Some("2")), (Some("a"), Some("3")), (Some("a"), None)]);
    let read = kafka::read_all(&servers::kafka(), "published").unwrap();
    let of_a: Vec<_> = read.iter().filter(|message| message.key == b"a").collect();
    let values: Vec<_> = of_a.iter().map(|message| message.value.as_deref()).collect();
    assert_eq!(values, [Some(&b"1"[..]), Some(&b"3"[..]), None], "in order");
    assert!(of_a.iter().all(|message| message.partition == of_a[0].partition), "a key stays on its partition");
    let headers = BTreeMap::from([("orig_message_ts".to_owned(), "12.5".to_owned())]);
    assert!(read.len() == 4 && read.iter().all(|message| message.headers == headers));
}

#[test]
fn an_unknown_topic_and_a_message_that_is_too_large_need_somebody() {
    runtime().block_on(async {
        kafka::create_topics(&servers::kafka(), &[("small", 1)]).await.unwrap();
        let publisher = Publisher::new(&brokers()).unwrap();
        // Too large for the topic, however it is compressed.
        let mut random = StdRng::seed_from_u64(1);
        let large: String = (0..3 << 17).map(|_| format!("{:016x}", random.random::<u64>())).collect();
        for (topic, value) in [("no-such-topic", "1"), ("small", large.as_str())] {
            let error = publisher.publish(record(topic, None, Some(value))).await.unwrap_err();
            assert!(error.hold && error.topic.as_ref() == topic, "{error}");
        }
        publisher.publish(record("small", None, Some("fits"))).await.unwrap();
    });
}

/// Shows key, value and time; ends after `count`.
fn shown(what: &Tail, count: usize) -> Vec<(String, Option<String>, Option<String>)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut shown = Vec::new();
    let done = tail(&brokers(), what, |seen| {
        let Seen::Message { key, value, time, .. } = seen else { return true };
        shown.push((text(key), value.map(text), time.map(text)));
        shown.len() < count
    });
    done.unwrap();
    shown.sort();
    shown
}

#[test]
fn a_tail_shows_every_message_to_the_end_that_is_there() {
    publish("tailed", &[(Some("a"), Some("1")), (Some("b"), None), (None, Some("3"))]);
    // It will leave a hole, as retention does.
    let first =
        kafka::read_all(&servers::kafka(), "tailed").unwrap().into_iter().find(|read| read.key == b"a").unwrap();
    let whole = Tail { topic: "tailed".into(), from_beginning: true, follow: false };
    let time = || Some("12.5".to_owned());
    let before = shown(&whole, usize::MAX);
    let expected = [("", Some("3")), ("a", Some("1")), ("b", None)];
    assert_eq!(before, expected.map(|(key, value)| (key.to_owned(), value.map(str::to_owned), time())));
    let kafka = servers::kafka();
    runtime().block_on(kafka::delete_before(&kafka, "tailed", first.partition, first.offset + 1)).unwrap();
    assert!(!shown(&whole, usize::MAX).iter().any(|(key, ..)| key == "a"));
    assert_eq!(shown(&whole, 1).len(), 1, "it ends when nobody wants more");
    let nothing = Tail { from_beginning: false, ..whole };
    assert_eq!(shown(&nothing, usize::MAX), []);
}

#[test]
fn a_tail_that_follows_shows_what_comes() {
    publish("followed", &[(Some("old"), Some("1"))]);
    let what = Tail { topic: "followed".into(), from_beginning: false, follow: true };
    let following = std::thread::spawn(move || shown(&what, 1));
    let runtime = runtime();
    // Until the tail has begun, nobody is shown anything.
    while !following.is_finished() {
        runtime.block_on(async {
            let publisher = Publisher::new(&brokers()).unwrap();
            publisher.publish(record("followed", Some("new"), Some("2"))).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        });
    }
    assert_eq!(following.join().unwrap()[0].0, "new");
}

#[test]
fn a_topic_that_is_not_there_is_an_error() {
    let what = Tail { topic: "nowhere".into(), from_beginning: true, follow: false };
    let error = tail(&brokers(), &what, |_| true).unwrap_err();
    assert!(error.to_string().contains("failed to read topic \"nowhere\": there is no topic"), "{error}");
}
