-- Chunks of continuous profiles, one row each. Of rows with the same key one stays.
CREATE TABLE IF NOT EXISTS profile_chunks
(
    project_id UInt64,
    profiler_id UUID,
    chunk_id UUID,
    start_timestamp DateTime64(6),
    end_timestamp DateTime64(6),
    environment LowCardinality(Nullable(String)),
    retention_days UInt16,
    partition UInt16,
    offset UInt64
)
ENGINE = ReplacingMergeTree
PARTITION BY (retention_days, toStartOfDay(start_timestamp))
ORDER BY (project_id, profiler_id, start_timestamp, cityHash64(chunk_id))
SAMPLE BY cityHash64(chunk_id)
TTL toDateTime(end_timestamp) + toIntervalDay(retention_days)
SETTINGS non_replicated_deduplication_window = 1000;
