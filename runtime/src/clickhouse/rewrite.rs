//! A rewrite as one statement, with the settings that an expensive statement needs (docs/replacements.md); those of its
//! storage's consistency come with the storage.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{quoted, quoted_one};
use crate::outcome::Rewrite;

/// The only place where a rewrite meets a table.
pub(super) fn statement(table: &str, rewrite: &Rewrite) -> String {
    let names: Vec<_> = rewrite.columns.iter().map(|(column, _)| quoted_one(column)).collect();
    let values: Vec<_> = rewrite.columns.iter().map(|(_, value)| value.as_str()).collect();
    format!(
        "INSERT INTO {table} ({}) SELECT {} FROM {table} FINAL WHERE {}",
        names.join(", "),
        values.join(", "),
        rewrite.predicate,
        table = quoted(table),
    )
}

pub(super) fn parameters(id: String, statement: &str, timeout: Duration) -> Vec<(&'static str, String)> {
    vec![
        // A rewrite whose answer was lost may still run, and would write old values after those of the next one.
        ("query_id", id),
        ("replace_running_query", "1".into()),
        ("wait_end_of_query", "1".into()),
        // Times are written without a time zone.
        ("session_timezone", "UTC".into()),
        ("max_query_size", (statement.len() + 1).max(QUERY_BYTES_MIN).to_string()),
        ("async_insert", "0".into()),
        // The same rows may be written once more on purpose: merged, unmerged, merged. Servers before 26 would drop them.
        ("insert_deduplicate", "0".into()),
        ("max_partitions_per_insert_block", "0".into()),
        ("max_execution_time", timeout.as_secs().max(1).to_string()),
        ("max_memory_usage", MEMORY_BYTES_MAX.to_string()),
        ("max_threads", "1".into()),
        ("max_block_size", "512".into()),
        ("use_uncompressed_cache", "0".into()),
        ("do_not_merge_across_partitions_select_final", "1".into()),
        ("optimize_move_to_prewhere", "1".into()),
        ("optimize_move_to_prewhere_if_final", "1".into()),
    ]
}

/// The same for the same rewrite, whoever carries it out.
pub(super) fn query_id(database: &str, table: &str, rewrite: &Rewrite, number: usize) -> String {
    let Rewrite { partition, offset, .. } = rewrite;
    let digest =
        Sha256::digest(format!("{}:{}:{offset}:{number}:{database}:{table}", partition.topic, partition.number));
    let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("tidegate-rewrite:{hex}")
}

/// ClickHouse's default.
const QUERY_BYTES_MIN: usize = 262_144;
const MEMORY_BYTES_MAX: u64 = 10 << 30;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::Partition;

    #[test]
    fn a_statement_names_the_table_twice_and_its_columns_in_quotes() {
        let rewrite = Rewrite {
            output: 0,
            partition: Partition::new("t", 0),
            offset: 7,
            columns: vec![("id".into(), "id".into()), ("tags.key".into(), "arrayDistinct(`tags.key`)".into())],
            predicate: "id = 1".into(),
        };
        let expected = "INSERT INTO `d`.`t` (`id`, `tags.key`) SELECT id, arrayDistinct(`tags.key`) FROM `d`.`t` FINAL \
            WHERE id = 1";
        assert_eq!(statement("d.t", &rewrite), expected);
        let id = query_id("d", "t", &rewrite, 0);
        assert_eq!(id, query_id("d", "t", &rewrite.clone(), 0));
        assert_ne!(id, query_id("d", "t", &rewrite, 1));
        assert_ne!(id, query_id("e", "t", &rewrite, 0));
    }
}
