-- Flags of projects, for readers that do not always read with FINAL (docs/replacements.md). The rows that are rewritten
-- are those of processors/errors/schema.sql. The newest flag of each kind wins; readers pass over what is older than
-- 12 hours, and merges delete it.
CREATE TABLE IF NOT EXISTS replacement_flags
(
    project_id UInt64,
    flag LowCardinality(String),
    group_id UInt64,
    set_at DateTime64(3)
)
ENGINE = ReplacingMergeTree(set_at)
ORDER BY (project_id, flag, group_id)
TTL toDateTime(set_at) + INTERVAL 12 HOUR;
