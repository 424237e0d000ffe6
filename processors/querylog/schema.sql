-- Requests for data, one row each, with the queries they led to.
CREATE TABLE IF NOT EXISTS querylog
(
    request_id UUID CODEC(NONE),
    request_body String CODEC(LZ4HC(0)),
    referrer LowCardinality(String),
    dataset LowCardinality(String),
    projects Array(UInt64),
    organization Nullable(UInt64),
    timestamp DateTime CODEC(T64, ZSTD(1)),
    duration_ms UInt32,
    status LowCardinality(String),
    partition UInt16,
    offset UInt64,
    clickhouse_queries Nested(
        sql String,
        status LowCardinality(String),
        trace_id Nullable(UUID),
        duration_ms UInt32,
        stats String,
        final UInt8,
        cache_hit UInt8,
        sample Float32,
        max_threads UInt8,
        num_days UInt32,
        clickhouse_table LowCardinality(String),
        query_id String,
        is_duplicate UInt8,
        consistent UInt8,
        all_columns Array(LowCardinality(String)),
        or_conditions UInt8,
        where_columns Array(LowCardinality(String)),
        where_mapping_columns Array(LowCardinality(String)),
        groupby_columns Array(LowCardinality(String)),
        array_join_columns Array(LowCardinality(String)),
        bytes_scanned UInt64,
        bytes UInt64),
    INDEX bf_projects projects TYPE bloom_filter GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toMonday(timestamp)
ORDER BY (dataset, referrer, toStartOfDay(timestamp), request_id)
TTL timestamp + toIntervalDay(30)
SETTINGS min_bytes_for_wide_part = 10000000, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;
