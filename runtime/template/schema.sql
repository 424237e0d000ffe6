-- The table of {{name}}; `tidegate dev pipeline.yaml --schema schema.sql` makes it.
CREATE TABLE IF NOT EXISTS {{table}}
(
    id UInt64,
    at DateTime,
    kind LowCardinality(String),
    user Nullable(String),
    tags Nested(key String, value String)
)
ENGINE = MergeTree
ORDER BY (kind, at)
SETTINGS non_replicated_deduplication_window = 1000;
