-- Transactions, one row each. Later rows of the same key win; `deleted` rows vanish with FINAL.
CREATE TABLE IF NOT EXISTS transactions
(
    project_id UInt64,
    event_id UUID,
    trace_id Nullable(UUID),
    span_id UInt64,
    transaction_name LowCardinality(String),
    transaction_hash UInt64 MATERIALIZED cityHash64(transaction_name),
    transaction_op LowCardinality(String),
    transaction_status UInt8,
    start_ts DateTime,
    start_ms UInt16,
    finish_ts DateTime,
    finish_ms UInt16,
    duration UInt32,
    platform LowCardinality(String),
    environment LowCardinality(Nullable(String)),
    release LowCardinality(Nullable(String)),
    dist LowCardinality(Nullable(String)),
    user String,
    user_hash UInt64 MATERIALIZED cityHash64(user),
    user_id Nullable(String),
    user_name Nullable(String),
    user_email Nullable(String),
    ip_address_v4 Nullable(IPv4),
    ip_address_v6 Nullable(IPv6),
    sdk_name LowCardinality(String),
    sdk_version LowCardinality(String),
    http_method LowCardinality(Nullable(String)),
    http_referer Nullable(String),
    tags Nested(key String, value String),
    _tags_hash_map Array(UInt64) MATERIALIZED arrayMap(
        (k, v) -> cityHash64(concat(replaceRegexpAll(k, '(\\=|\\\\)', '\\\\\\1'), '=', v)), tags.key, tags.value),
    contexts Nested(key String, value String),
    measurements Nested(key LowCardinality(String), value Float64),
    span_op_breakdowns Nested(key LowCardinality(String), value Float64),
    spans Nested(op String, group UInt64, exclusive_time Float64, exclusive_time_32 Float32),
    partition UInt16,
    offset UInt64,
    message_timestamp DateTime,
    retention_days UInt16,
    deleted UInt8,
    type LowCardinality(String) MATERIALIZED 'transaction',
    message LowCardinality(String) MATERIALIZED transaction_name,
    title LowCardinality(String) MATERIALIZED transaction_name,
    transaction_source LowCardinality(String),
    timestamp DateTime MATERIALIZED finish_ts,
    group_ids Array(UInt64),
    app_start_type LowCardinality(String),
    profile_id Nullable(UUID),
    profiler_id Nullable(UUID),
    replay_id Nullable(UUID)
)
ENGINE = ReplacingMergeTree(deleted)
PARTITION BY (retention_days, toMonday(finish_ts))
ORDER BY (project_id, toStartOfDay(finish_ts), transaction_name, cityHash64(span_id))
SAMPLE BY cityHash64(span_id)
TTL finish_ts + toIntervalDay(retention_days)
SETTINGS non_replicated_deduplication_window = 1000;
