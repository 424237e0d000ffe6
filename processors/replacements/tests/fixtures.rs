//! Messages and what must come of them: `fixtures/NAME.json` and `fixtures/NAME.expected.json`. Where all columns of the
//! table are written, only those that change are shown here.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use replacements::Replacements;
use serde_json::{Value, json};
use shared::errors_table::COLUMNS;
use tidegate_processor::testkit::{Kit, Seen, check_fixtures};

#[test]
fn every_fixture_comes_out_as_expected() {
    check_fixtures::<Replacements>(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures").as_ref(), 10);
}

/// Columns whose new value is not the old one, and the predicate.
fn rewrite_of(kit: &mut Kit<Replacements>, message: &Value) -> (BTreeMap<String, String>, String) {
    let Seen::Rewrites { rewrites, .. } = kit.process(message.to_string().as_bytes()) else { panic!("{message}") };
    let [rewrite] = rewrites.as_slice() else { panic!("one rewrite expected: {rewrites:?}") };
    assert_eq!(rewrite["output"], "errors");
    let columns = rewrite["columns"].as_array().unwrap();
    let names: Vec<_> = columns.iter().map(|new| new["column"].as_str().unwrap()).collect();
    assert_eq!(names, COLUMNS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    let text = |new: &Value, part: &str| new[part].as_str().unwrap().to_owned();
    let changed = columns.iter().filter(|new| text(new, "expression").trim_matches('`') != text(new, "column"));
    let changed = changed.map(|new| (text(new, "column"), text(new, "expression"))).collect();
    (changed, text(rewrite, "predicate"))
}

fn changed(kit: &mut Kit<Replacements>, message: &Value) -> Vec<(String, String)> {
    rewrite_of(kit, message).0.into_iter().collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(column, value)| ((*column).to_owned(), (*value).to_owned())).collect()
}

const AT: &str = "2023-03-08T02:35:25.450974Z";
const UNTIL: &str = "timestamp <= CAST('2023-03-08 02:35:25' AS DateTime) + INTERVAL 1 DAY \
    AND received <= CAST('2023-03-08 02:35:25' AS DateTime) AND NOT deleted";

#[test]
fn a_merge_changes_the_group_and_when_it_was_first_seen() {
    let mut kit = Kit::new("{}").unwrap();
    let mut body = json!({"project_id": 7, "previous_group_ids": [1, 2], "new_group_id": 3, "datetime": AT});
    let (columns, predicate) = rewrite_of(&mut kit, &json!([2, "end_merge", body]));
    assert_eq!(Vec::from_iter(columns), pairs(&[("group_id", "3")]));
    assert_eq!(predicate, format!("project_id = 7 AND group_id IN (1, 2) AND {UNTIL}"));
    body["new_group_first_seen"] = "2020-02-29T23:59:59.999Z".into();
    let first_seen = ("group_first_seen", "CAST('2020-02-29 23:59:59' AS DateTime)");
    assert_eq!(changed(&mut kit, &json!([2, "end_merge", body])), pairs(&[first_seen, ("group_id", "3")]));
}

#[test]
fn an_unmerge_takes_hashes_as_events_do() {
    let hashes = ["0123456789ABCDEF0123456789abcdef", "it's no hash"];
    let body = json!({"project_id": 7, "previous_group_id": 1, "new_group_id": 2, "hashes": hashes, "datetime": AT});
    let (columns, predicate) = rewrite_of(&mut Kit::new("{}").unwrap(), &json!([2, "end_unmerge", body]));
    assert_eq!(Vec::from_iter(columns), pairs(&[("group_id", "2")]));
    let ids = "'01234567-89ab-cdef-0123-456789abcdef', 'd53be9b3-94b3-e3d2-dc9c-81560b109e07'";
    assert_eq!(predicate, format!("project_id = 7 AND primary_hash IN ({ids}) AND group_id = 1 AND {UNTIL}"));
}

#[test]
fn a_deleted_tag_takes_its_column_along() {
    let filtered = |tag: &str| {
        let of = |array: &str| format!("arrayFilter((x, y) -> y != '{tag}', `{array}`, `tags.key`)");
        [("tags.key", of("tags.key")), ("tags.value", of("tags.value"))]
    };
    let delete = |tag: &str| json!([2, "end_delete_tag", {"project_id": 7, "tag": tag, "datetime": AT}]);
    let cases = [
        ("environment", Some(("environment", "NULL"))),
        ("level", Some(("level", "NULL"))),
        ("sentry:release", Some(("release", "NULL"))),
        ("sentry:dist", Some(("dist", "NULL"))),
        ("transaction", Some(("transaction_name", "''"))),
        ("sentry:user", Some(("user", "''"))),
        ("release", None),
        ("browser", None),
    ];
    let mut kit = Kit::new("{}").unwrap();
    for (tag, column) in cases {
        let tags = filtered(tag);
        let mut expected = pairs(&tags.each_ref().map(|(column, value)| (*column, value.as_str())));
        expected.extend(pairs(column.as_slice()));
        expected.sort();
        assert_eq!(changed(&mut kit, &delete(tag)), expected, "{tag}");
    }
    let (_, predicate) = rewrite_of(&mut kit, &delete("it's \\ `x`"));
    let received = "received <= CAST('2023-03-08 02:35:25' AS DateTime) AND NOT deleted";
    assert_eq!(predicate, format!("project_id = 7 AND {received} AND has(`tags.key`, 'it\\'s \\\\ `x`')"));
}

#[test]
fn promoted_tags_are_a_setting() {
    let mut kit = Kit::new(r#"{"promoted_tags": {"browser": "sdk_name"}}"#).unwrap();
    let delete = |tag| json!([2, "end_delete_tag", {"project_id": 7, "tag": tag, "datetime": AT}]);
    assert!(changed(&mut kit, &delete("browser")).contains(&("sdk_name".into(), "NULL".into())));
    assert_eq!(changed(&mut kit, &delete("level")).len(), 2);
    for (column, why) in [("browser", "has not"), ("group_id", "not a text"), ("tags.key", "not a text")] {
        let params = json!({"promoted_tags": {"browser": column}}).to_string();
        let error = Kit::<Replacements>::new(&params).err().unwrap();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn events_of_another_group_are_found_by_their_ids() {
    let body = json!({"project_id": 7, "event_ids": ["00E24A150d7f4ee4b142b61b4d893b6d"], "new_group_id": 2});
    let (columns, predicate) = rewrite_of(&mut Kit::new("{}").unwrap(), &json!(["replace_group", body]));
    assert_eq!(Vec::from_iter(columns), pairs(&[("group_id", "2")]));
    assert_eq!(predicate, "event_id IN ('00e24a15-0d7f-4ee4-b142-b61b4d893b6d') AND project_id = 7 AND NOT deleted");
}

#[test]
fn no_message_makes_it_panic() {
    let mut kit = Kit::<Replacements>::new("{}").unwrap();
    let bodies = [
        json!([2, "end_merge", {"project_id": 7, "previous_group_ids": [1], "new_group_id": 3, "new_group_first_seen": AT, "datetime": AT}]),
        json!([2, "end_unmerge", {"project_id": 7, "previous_group_id": 1, "new_group_id": 2, "hashes": ["a"], "datetime": AT}]),
        json!([2, "end_delete_tag", {"project_id": 7, "tag": "a", "datetime": AT}]),
        json!([2, "tombstone_events", {"project_id": 7, "event_ids": ["00e24a150d7f4ee4b142b61b4d893b6d"], "old_primary_hash": "x", "from_timestamp": AT, "to_timestamp": AT}]),
        json!([2, "exclude_groups", {"project_id": 7, "group_ids": [1]}]),
    ];
    for message in bodies {
        let text = message.to_string();
        (0..text.len()).for_each(|end| drop(kit.process(&text.as_bytes()[..end])));
        for key in message[2].as_object().unwrap().keys() {
            for value in [json!(null), json!(-1), json!(1e300), json!("'"), json!([]), json!([null]), json!({})] {
                let mut changed = message.clone();
                changed[2][key] = value;
                let _ = kit.process(changed.to_string().as_bytes());
            }
        }
    }
}
