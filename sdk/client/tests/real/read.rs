//! The reader on a real ClickHouse.

use std::path::PathBuf;
use std::time::Duration;

use tidegate_client::{Consistency, Query, ReadError, Reader, ReaderSettings};
use tidegate_engines::{ClickHouse, Launcher};

use crate::broker::block_on;

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:9";

fn server() -> ClickHouse {
    let here = std::env::current_exe().unwrap();
    let program: PathBuf = here.ancestors().nth(2).unwrap().join("tidegate-clickhouse");
    assert!(program.exists(), "{} is not built: cargo build --package tidegate-engines", program.display());
    let folder = std::env::temp_dir().join(format!("tidegate-client-{}-clickhouse", std::process::id()));
    ClickHouse::start(Launcher { program, arguments: Vec::new() }, &folder).unwrap_or_else(|error| panic!("{error}"))
}

fn reader(hosts: &[&str], consistency: Consistency) -> Reader {
    let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    let (database, user, password) = ("default".into(), "default".into(), String::new());
    let timeout = Duration::from_secs(30);
    Reader::new(ReaderSettings { hosts, database, user, password, consistency, timeout }).unwrap()
}

async fn text(reader: &Reader, query: Query) -> String {
    String::from_utf8(reader.query(&query).await.unwrap()).unwrap().trim().to_owned()
}

#[test]
fn real_queries_are_sent_with_their_profile() {
    let server = server();
    let url = server.url();
    block_on(async {
        let plain = reader(&[&url], Consistency::Eventual);
        for statement in [
            "CREATE TABLE seen (id UInt64, version UInt64) ENGINE = ReplacingMergeTree(version) ORDER BY id",
            "SYSTEM STOP MERGES seen",
            "INSERT INTO seen VALUES (1, 1), (2, 1)",
            "INSERT INTO seen VALUES (1, 2)",
        ] {
            text(&plain, Query::new(statement)).await;
        }
        let count = || Query::new("SELECT count() FROM seen WHERE id <= {most:UInt64}").parameter("most", "2");
        assert_eq!(text(&plain, count()).await, "3");
        assert_eq!(text(&plain, count().merged()).await, "2");
        assert_eq!(text(&plain, count().filter("seen", "id NOT IN (1)")).await, "1");
        let setting = |name: &str| Query::new(format!("SELECT getSetting('{name}')"));
        let in_order = reader(&[NOWHERE, &url], Consistency::InOrder);
        assert_eq!(text(&in_order, setting("load_balancing")).await, "in_order");
        assert_eq!(text(&in_order, setting("prefer_localhost_replica")).await, "false");
        let sequential = reader(&[&url], Consistency::Sequential);
        assert_eq!(text(&sequential, setting("select_sequential_consistency")).await, "1");
        refusals(&url).await;
    });
}

async fn refusals(url: &str) {
    let query = Query::new("SELECT 1 FROM nothing");
    let error = reader(&[url], Consistency::Eventual).query(&query).await.unwrap_err();
    assert!(matches!(error, ReadError::Refused { code: 60, .. }), "{error}");
    // There is no other node than the one that was written to.
    let error = reader(&[NOWHERE, url], Consistency::ShardLocal).query(&Query::new("SELECT 1")).await.unwrap_err();
    assert!(matches!(error, ReadError::Unreachable { .. }), "{error}");
    let synced = reader(&[url], Consistency::Synced);
    let error = synced.query(&Query::new("SELECT 1")).await.unwrap_err();
    assert!(matches!(error, ReadError::NoTables), "{error}");
    let error = synced.query(&Query::new("SELECT 1").table("default.seen")).await.unwrap_err();
    assert!(error.to_string().contains("is not replicated"), "{error}");
    // The first bytes are there before it fails: the whole query does.
    let late = Query::new("SELECT throwIf(number = 1000000) FROM numbers(1000001) SETTINGS max_block_size = 100");
    let error = reader(&[url], Consistency::Eventual).query(&late).await.unwrap_err();
    assert!(matches!(error, ReadError::Refused { code: 395, .. }), "{error}");
}
