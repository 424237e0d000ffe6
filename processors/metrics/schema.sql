-- Metrics of release health, one row each, as materialized views read them.
CREATE TABLE IF NOT EXISTS metrics_raw
(
    use_case_id LowCardinality(String),
    metric_type LowCardinality(String),
    org_id UInt64,
    project_id UInt64,
    metric_id UInt64,
    timestamp DateTime,
    tags Nested(key UInt64, value UInt64),
    count_value Float64,
    set_values Array(UInt64),
    distribution_values Array(Float64),
    materialization_version UInt8,
    retention_days UInt16,
    partition UInt16,
    offset UInt64,
    timeseries_id UInt32
)
ENGINE = MergeTree
PARTITION BY toStartOfInterval(timestamp, toIntervalDay(3))
ORDER BY (use_case_id, metric_type, org_id, project_id, metric_id, timestamp)
TTL timestamp + toIntervalDay(7)
SETTINGS non_replicated_deduplication_window = 1000;
