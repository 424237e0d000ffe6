//! Records, bytes and back: what is written is read as it was, and nothing that is read breaks the reader.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidegate_commit_log::{Counts, Key, Record};

fn record() -> Record {
    Record {
        topic: "events".into(),
        partition: 0,
        group: "snuba-consumers".into(),
        offset: 5,
        orig_message_ts: 1_696_381_946.0,
        ..Record::default()
    }
}

#[test]
fn bytes_are_those_of_the_reference() {
    assert_eq!(record().key(), "events:0:snuba-consumers");
    assert_eq!(record().value(), r#"{"offset":5,"orig_message_ts":1696381946.0,"received_p99":null}"#);
}

#[test]
fn our_fields_come_after_those_of_the_reference() {
    let mut counts = Counts { messages: 3, inserted: 2, skipped: 1, start: Some(2), ..Counts::default() };
    counts.add_rows("errors", 3);
    counts.add_rows("flags", 1);
    let record = Record { epoch: 2, topic_id: Some("q1".into()), counts: Some(counts), ..record() };
    assert_eq!(
        record.value(),
        "{\"offset\":5,\"orig_message_ts\":1696381946.0,\"received_p99\":null,\"epoch\":2,\"topic_id\":\"q1\",\
         \"counts\":{\"messages\":3,\"inserted\":2,\"rows\":4,\"skipped\":1,\"unselected\":0,\"replacements\":0,\
         \"dead_letters\":0,\"storages\":{\"errors\":3,\"flags\":1},\"start\":2}}"
    );
    assert_eq!(record.repeated(), Record { counts: None, ..record });
}

#[test]
fn counts_are_added_up_by_storage() {
    let one = |storage: &str, rows, start| {
        let mut counts = Counts { messages: 1, inserted: 1, start: Some(start), ..Counts::default() };
        counts.add_rows(storage, rows);
        counts
    };
    let mut sum = one("errors", 2, 5);
    [one("flags", 3, 6), one("errors", 4, 7)].iter().for_each(|counts| sum.add(counts));
    let storages = BTreeMap::from([("errors".to_owned(), 6), ("flags".to_owned(), 3)]);
    let expected = Counts { messages: 3, inserted: 3, rows: 9, storages, start: Some(5), ..Counts::default() };
    assert_eq!(sum, expected, "where a range begins is not added up");
    assert!(sum.is_complete());
}

#[test]
fn reads_the_legacy_form() {
    let read = Record::decode(b"events:0:g", b"70", Some(b"2023-10-04T01:12:26.250000Z")).unwrap();
    assert_eq!((read.offset, read.orig_message_ts), (70, 1_696_381_946.25));
    let read = Record::decode(b"events:0:g", b"70", Some(b"yesterday")).unwrap();
    assert_eq!((read.offset, read.orig_message_ts), (70, 0.0));
}

#[test]
fn a_group_may_contain_colons() {
    assert_eq!(Record::decode(b"events:0:a:b", b"1", None).unwrap().group, "a:b");
}

#[test]
fn nonsense_is_an_error() {
    for (key, value) in [
        ("events", "5"),
        ("events:0", "5"),
        (":0:g", "5"),
        ("events:0:", "5"),
        ("events:-1:g", "5"),
        ("events:+1:g", "5"),
        ("events:2147483648:g", "5"),
        ("events:0:g", ""),
        ("events:0:g", "-5"),
        ("events:0:g", "9223372036854775808"),
        ("events:0:g", r#"{"offset":-5,"orig_message_ts":1.0}"#),
        ("events:0:g", r#"{"offset":5.0,"orig_message_ts":1.0}"#),
        ("events:0:g", r#"{"offset":true,"orig_message_ts":1.0}"#),
        ("events:0:g", r#"{"offset":5,"orig_message_ts":NaN}"#),
        ("events:0:g", r#"{"offset":5,"orig_message_ts":1e999}"#),
        ("events:0:g", r#"{"offset":5,"orig_message_ts":1.0,"epoch":-1}"#),
        ("events:0:g", r#"{"offset":5,"counts":{"start":-1}}"#),
        ("events:0:g", "[5,1.0,null]"),
    ] {
        assert!(Record::decode(key.as_bytes(), value.as_bytes(), None).is_err(), "{key} {value}");
    }
}

fn counts() -> impl Strategy<Value = Counts> {
    let storages = proptest::collection::btree_map("[a-z]{1,8}", any::<u64>(), 0..3);
    let start = proptest::option::of(0i64..);
    (any::<[u64; 8]>(), storages, start).prop_map(|(n, storages, start): (_, BTreeMap<_, _>, _)| {
        let [messages, inserted, rows, skipped, unselected, replacements, rewrites, dead_letters] = n;
        Counts { messages, inserted, rows, skipped, unselected, replacements, rewrites, dead_letters, storages, start }
    })
}

fn records() -> impl Strategy<Value = Record> {
    let key = ("[a-zA-Z0-9._-]{1,20}", 0i32.., ".{1,20}");
    let times = (-1e12..1e12f64, proptest::option::of(1.0..1e12f64));
    let ours = (any::<u64>(), proptest::option::of(".{0,30}"), proptest::option::of(counts()));
    (key, 0i64.., times, ours).prop_map(|((topic, partition, group), offset, times, (epoch, topic_id, counts))| {
        Record {
            topic,
            partition,
            group,
            offset,
            orig_message_ts: times.0,
            received_p99: times.1,
            epoch,
            topic_id,
            counts,
        }
    })
}

proptest! {
    #[test]
    fn decode_of_encode_is_the_same(record in records()) {
        let read = Record::decode(record.key().as_bytes(), record.value().as_bytes(), None).unwrap();
        prop_assert_eq!(Key::decode(record.key().as_bytes()).unwrap(), Key::of(&record));
        prop_assert_eq!(read, record);
    }

    #[test]
    fn decode_never_panics(key in any::<Vec<u8>>(), value in any::<Vec<u8>>(), header in any::<Option<Vec<u8>>>()) {
        let _ = Key::decode(&key);
        let _ = Record::decode(&key, &value, header.as_deref());
        let _ = Record::decode(b"t:0:g", &value, header.as_deref());
        let _ = Record::decode(b"t:0:g", b"7", header.as_deref());
    }

    #[test]
    fn a_record_with_any_byte_changed_never_panics(record in records(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut value = record.value().into_bytes();
        let at = at.index(value.len());
        value[at] = byte;
        let _ = Record::decode(record.key().as_bytes(), &value, None);
    }
}
