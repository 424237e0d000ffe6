-- Functions of profiles, one row each, with their durations in nanoseconds.
CREATE TABLE IF NOT EXISTS functions_raw
(
    project_id UInt64,
    transaction_name String,
    timestamp DateTime,
    start_timestamp Nullable(DateTime64(6)),
    end_timestamp Nullable(DateTime64(6)),
    fingerprint UInt64,
    name String,
    package String,
    is_application UInt8,
    platform LowCardinality(String),
    environment LowCardinality(Nullable(String)),
    release LowCardinality(Nullable(String)),
    retention_days UInt16,
    durations Array(Float64),
    profile_id UUID,
    materialization_version UInt8,
    thread_id String,
    profiling_type LowCardinality(String),
    depth UInt32,
    parent_fingerprint UInt64,
    path String,
    os_name LowCardinality(String),
    os_version LowCardinality(String),
    browser_name LowCardinality(Nullable(String)),
    device_classification UInt8,
    dist LowCardinality(Nullable(String)),
    transaction_op LowCardinality(String),
    transaction_status UInt8
)
ENGINE = MergeTree
PARTITION BY (retention_days, toMonday(timestamp))
ORDER BY (project_id, timestamp, fingerprint)
TTL timestamp + toIntervalDay(retention_days)
SETTINGS non_replicated_deduplication_window = 1000;
