-- Metrics, one table for each type and one row for each metric, as materialized views read them. Three retentions are
-- never written: the views ask for them.
CREATE TABLE IF NOT EXISTS generic_metric_counters_raw
(
    use_case_id LowCardinality(String),
    org_id UInt64,
    project_id UInt64,
    metric_id UInt64,
    timestamp DateTime,
    retention_days UInt16,
    tags Nested(key UInt64, indexed_value UInt64, raw_value String),
    metric_type LowCardinality(String),
    materialization_version UInt8,
    record_meta UInt8 DEFAULT 0,
    timeseries_id UInt32,
    granularities Array(UInt8),
    decasecond_retention_days UInt8 DEFAULT 7,
    min_retention_days UInt8 DEFAULT 30,
    hr_retention_days UInt8 DEFAULT retention_days,
    day_retention_days UInt8 DEFAULT retention_days,
    count_value Float64,
    sampling_weight UInt64 DEFAULT 1
)
ENGINE = MergeTree
PARTITION BY toStartOfInterval(timestamp, toIntervalDay(3))
ORDER BY (use_case_id, org_id, project_id, metric_id, timestamp)
TTL timestamp + toIntervalDay(7)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS generic_metric_sets_raw
(
    use_case_id LowCardinality(String),
    org_id UInt64,
    project_id UInt64,
    metric_id UInt64,
    timestamp DateTime,
    retention_days UInt16,
    tags Nested(key UInt64, indexed_value UInt64, raw_value String),
    metric_type LowCardinality(String),
    materialization_version UInt8,
    record_meta UInt8 DEFAULT 0,
    timeseries_id UInt32,
    granularities Array(UInt8),
    decasecond_retention_days UInt8 DEFAULT 7,
    min_retention_days UInt8 DEFAULT 30,
    hr_retention_days UInt8 DEFAULT retention_days,
    day_retention_days UInt8 DEFAULT retention_days,
    set_values Array(UInt64)
)
ENGINE = MergeTree
PARTITION BY toStartOfInterval(timestamp, toIntervalDay(3))
ORDER BY (use_case_id, org_id, project_id, metric_id, timestamp)
TTL timestamp + toIntervalDay(7)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS generic_metric_distributions_raw
(
    use_case_id LowCardinality(String),
    org_id UInt64,
    project_id UInt64,
    metric_id UInt64,
    timestamp DateTime,
    retention_days UInt16,
    tags Nested(key UInt64, indexed_value UInt64, raw_value String),
    metric_type LowCardinality(String),
    materialization_version UInt8,
    record_meta UInt8 DEFAULT 0,
    timeseries_id UInt32,
    granularities Array(UInt8),
    decasecond_retention_days UInt8 DEFAULT 7,
    min_retention_days UInt8 DEFAULT 30,
    hr_retention_days UInt8 DEFAULT retention_days,
    day_retention_days UInt8 DEFAULT retention_days,
    distribution_values Array(Float64),
    enable_histogram UInt8 DEFAULT 0,
    disable_percentiles UInt8 DEFAULT 0,
    sampling_weight UInt64 DEFAULT 1
)
ENGINE = MergeTree
PARTITION BY toStartOfInterval(timestamp, toIntervalDay(3))
ORDER BY (use_case_id, org_id, project_id, metric_id, timestamp)
TTL timestamp + toIntervalDay(7)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS generic_metric_gauges_raw
(
    use_case_id LowCardinality(String),
    org_id UInt64,
    project_id UInt64,
    metric_id UInt64,
    timestamp DateTime,
    retention_days UInt16,
    tags Nested(key UInt64, indexed_value UInt64, raw_value String),
    metric_type LowCardinality(String),
    materialization_version UInt8,
    record_meta UInt8 DEFAULT 0,
    timeseries_id UInt32,
    granularities Array(UInt8),
    decasecond_retention_days UInt8 DEFAULT 7,
    min_retention_days UInt8 DEFAULT 30,
    hr_retention_days UInt8 DEFAULT retention_days,
    day_retention_days UInt8 DEFAULT retention_days,
    gauges_values Nested(last Float64, min Float64, max Float64, sum Float64, count UInt64),
    sampling_weight UInt64 DEFAULT 1
)
ENGINE = MergeTree
PARTITION BY toStartOfInterval(timestamp, toIntervalDay(3))
ORDER BY (use_case_id, org_id, project_id, metric_id, timestamp)
TTL timestamp + toIntervalDay(7)
SETTINGS non_replicated_deduplication_window = 1000;
