//! Messages and what must come of them: `fixtures/NAME.bin` and `fixtures/NAME.expected.json`, for whoever runs the
//! fixtures of all processors. Nobody edits protobuf by hand: `UPDATE_GOLDEN=1 cargo test -p eap-items` writes the
//! messages anew from what stands here.

use std::fs;
use std::path::Path;

use eap_items::EapItems;
use tidegate_processor::testkit::check_fixtures;

use crate::wire::{double, message, number};
use crate::{LOG, METRIC, SPAN, array, attribute, boolean, float, int, item, required, text};

fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let span = [
        attribute("sentry.op", &text("db.query")),
        attribute("server", &text("café-1")),
        attribute("rows", &int(-12)),
        attribute("load", &float(0.75)),
        attribute("cached", &boolean(true)),
        attribute("mixed", &array(&[text("a"), int(7), float(0.5), boolean(false), text("")])),
        attribute("bytes", &message(7, b"raw")),
        message(11, b"16fd27068baf433b82eb8c7fada847da"),
        number(100, 30),
    ];
    let log = [
        attribute("sentry.body", &text("a line,\nand another\u{0}")),
        double(8, 0.5),
        double(9, 0.25),
        message(10, b"conversation-1"),
        number(100, 45),
        message(101, &[number(1, 1_709_209_821), number(2, 500_000_000)].concat()),
        number(102, 396),
    ];
    let metric = [attribute("sentry.metric.name", &text("queue.length")), attribute("depth", &int(i64::MAX))];
    vec![
        ("span", item(SPAN, &span)),
        ("log", item(LOG, &log)),
        ("metric", item(METRIC, &metric)),
        ("nothing-optional", required()),
        ("no-timestamp", number(5, LOG)),
        ("item-type-too-large", item(256, &[])),
        ("cut-off", item(SPAN, &span)[..100].to_vec()),
    ]
}

#[test]
fn every_fixture_comes_out_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    for (name, message) in messages() {
        let file = folder.join(name).with_extension("bin");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&file, &message).unwrap();
        }
        assert_eq!(fs::read(&file).unwrap_or_default(), message, "{}", file.display());
    }
    check_fixtures::<EapItems>(&folder, messages().len());
}
