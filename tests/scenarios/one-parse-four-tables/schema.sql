-- include processors/generic-metrics/schema.sql
-- One table of two outputs, which deduplicates: the blocks of the two must not be taken for one sent twice.
CREATE TABLE counters_and_gauges AS generic_metric_gauges_raw;
ALTER TABLE counters_and_gauges ADD COLUMN count_value Float64;
-- The messages have fixed dates.
ALTER TABLE generic_metric_counters_raw REMOVE TTL;
ALTER TABLE generic_metric_sets_raw REMOVE TTL;
ALTER TABLE generic_metric_distributions_raw REMOVE TTL;
ALTER TABLE generic_metric_gauges_raw REMOVE TTL;
ALTER TABLE counters_and_gauges REMOVE TTL;
