-- Outcomes, one row each: what became of how much of which category.
CREATE TABLE IF NOT EXISTS outcomes_raw
(
    org_id UInt64,
    project_id UInt64,
    key_id Nullable(UInt64),
    timestamp DateTime,
    outcome UInt8,
    reason LowCardinality(Nullable(String)),
    event_id Nullable(UUID),
    quantity UInt32,
    quantity64 UInt64,
    category UInt8
)
ENGINE = MergeTree
PARTITION BY toMonday(timestamp)
ORDER BY (org_id, project_id, timestamp)
TTL timestamp + toIntervalDay(30)
SETTINGS index_granularity = 16384, non_replicated_deduplication_window = 1000;
