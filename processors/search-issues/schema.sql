-- Issues of the issue platform, one row for each time they occurred. Later rows of the same key win.
CREATE TABLE IF NOT EXISTS search_issues
(
    organization_id UInt64,
    project_id UInt64,
    group_id UInt64,
    search_title String,
    primary_hash UUID,
    fingerprint Array(String),
    occurrence_id UUID,
    occurrence_type_id UInt16,
    detection_timestamp DateTime,
    resource_id Nullable(String),
    message String,
    subtitle Nullable(String),
    culprit Nullable(String),
    level LowCardinality(Nullable(String)),
    event_id Nullable(UUID),
    trace_id Nullable(UUID),
    platform LowCardinality(String),
    environment LowCardinality(Nullable(String)),
    release LowCardinality(Nullable(String)),
    dist LowCardinality(Nullable(String)),
    receive_timestamp DateTime,
    client_timestamp DateTime,
    tags Nested(key String, value String),
    _tags_hash_map Array(UInt64) MATERIALIZED arrayMap(
        (k, v) -> cityHash64(concat(replaceRegexpAll(k, '(\\=|\\\\)', '\\\\\\1'), '=', v)), tags.key, tags.value),
    user Nullable(String),
    user_hash Nullable(UInt64) MATERIALIZED cityHash64(user),
    user_id Nullable(String),
    user_name Nullable(String),
    user_email Nullable(String),
    ip_address_v4 Nullable(IPv4),
    ip_address_v6 Nullable(IPv6),
    sdk_name LowCardinality(Nullable(String)),
    sdk_version LowCardinality(Nullable(String)),
    contexts Nested(key String, value String),
    http_method LowCardinality(Nullable(String)),
    http_referer Nullable(String),
    transaction_duration UInt32,
    profile_id Nullable(UUID),
    replay_id Nullable(UUID),
    message_timestamp DateTime,
    partition UInt16,
    offset UInt64,
    retention_days UInt16,
    group_first_seen Nullable(DateTime),
    timestamp_ms Nullable(DateTime64(3))
)
ENGINE = ReplacingMergeTree
PARTITION BY (retention_days, toMonday(receive_timestamp))
ORDER BY (project_id, toStartOfDay(receive_timestamp), primary_hash, cityHash64(occurrence_id))
SAMPLE BY cityHash64(occurrence_id)
TTL receive_timestamp + toIntervalDay(retention_days)
SETTINGS non_replicated_deduplication_window = 1000;
