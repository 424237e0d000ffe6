CREATE TABLE IF NOT EXISTS poison
(
    id UInt64,
    kind Enum8('a' = 1, 'b' = 2),
    note Nullable(String),
    partition UInt16,
    offset UInt64
)
ENGINE = MergeTree
ORDER BY (partition, offset)
