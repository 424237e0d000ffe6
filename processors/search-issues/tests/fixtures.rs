//! Messages and what must come of them: `fixtures/NAME.json` and `fixtures/NAME.expected.json`.

use search_issues::SearchIssues;
use tidegate_processor::testkit::check_fixtures;

#[test]
fn every_fixture_comes_out_as_expected() {
    check_fixtures::<SearchIssues>(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures").as_ref(), 10);
}
