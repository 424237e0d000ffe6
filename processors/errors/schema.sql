-- Error events, one row each. Of rows with the same key a `deleted` one wins, otherwise the last; read with FINAL and
-- NOT deleted.
CREATE TABLE IF NOT EXISTS errors
(
    project_id UInt64,
    timestamp DateTime,
    event_id UUID,
    platform LowCardinality(String),
    environment LowCardinality(Nullable(String)),
    release LowCardinality(Nullable(String)),
    dist LowCardinality(Nullable(String)),
    ip_address_v4 Nullable(IPv4),
    ip_address_v6 Nullable(IPv6),
    user String,
    user_hash UInt64 MATERIALIZED cityHash64(user),
    user_id Nullable(String),
    user_name Nullable(String),
    user_email Nullable(String),
    sdk_name LowCardinality(Nullable(String)),
    sdk_version LowCardinality(Nullable(String)),
    http_method LowCardinality(Nullable(String)),
    http_referer Nullable(String),
    tags Nested(key String, value String),
    _tags_hash_map Array(UInt64) MATERIALIZED arrayMap(
        (k, v) -> cityHash64(concat(replaceRegexpAll(k, '(\\=|\\\\)', '\\\\\\1'), '=', v)), tags.key, tags.value),
    flags Nested(key String, value String),
    _flags_hash_map Array(UInt64) MATERIALIZED arrayMap(
        (k, v) -> cityHash64(concat(replaceRegexpAll(k, '(\\=|\\\\)', '\\\\\\1'), '=', v)), flags.key, flags.value),
    contexts Nested(key String, value String),
    transaction_name LowCardinality(String),
    transaction_hash UInt64 MATERIALIZED cityHash64(transaction_name),
    span_id Nullable(UInt64),
    trace_id Nullable(UUID),
    partition UInt16,
    offset UInt64,
    message_timestamp DateTime,
    retention_days UInt16,
    deleted UInt8,
    group_id UInt64,
    primary_hash UUID,
    received DateTime,
    message String,
    title String,
    culprit String,
    level LowCardinality(Nullable(String)),
    location Nullable(String),
    version LowCardinality(Nullable(String)),
    type LowCardinality(String),
    exception_stacks Nested(
        type Nullable(String),
        value Nullable(String),
        mechanism_type Nullable(String),
        mechanism_handled Nullable(UInt8)),
    exception_frames Nested(
        abs_path Nullable(String),
        colno Nullable(UInt32),
        filename Nullable(String),
        function Nullable(String),
        lineno Nullable(UInt32),
        in_app Nullable(UInt8),
        package Nullable(String),
        module Nullable(String),
        stack_level Nullable(UInt16)),
    exception_main_thread Nullable(UInt8),
    sdk_integrations Array(String),
    modules Nested(name String, version String),
    trace_sampled Nullable(UInt8),
    num_processing_errors Nullable(UInt64),
    replay_id Nullable(UUID),
    symbolicated_in_app Nullable(UInt8),
    timestamp_ms Nullable(DateTime64(3)),
    sample_weight Nullable(Float64),
    group_first_seen Nullable(DateTime)
)
ENGINE = ReplacingMergeTree(deleted)
PARTITION BY (retention_days, toMonday(timestamp))
ORDER BY (project_id, toStartOfDay(timestamp), primary_hash, cityHash64(event_id))
SAMPLE BY cityHash64(event_id)
TTL timestamp + toIntervalDay(retention_days)
SETTINGS non_replicated_deduplication_window = 1000;
