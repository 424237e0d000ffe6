SELECT * FROM (
    SELECT 'counters' AS in_table, metric_id, metric_type, toString(count_value) AS value FROM generic_metric_counters_raw
    UNION ALL
    SELECT 'sets', metric_id, metric_type, toString(set_values) FROM generic_metric_sets_raw
    UNION ALL
    SELECT 'distributions', metric_id, metric_type, toString(distribution_values) FROM generic_metric_distributions_raw
    UNION ALL
    SELECT 'gauges', metric_id, metric_type, toString(`gauges_values.sum`) FROM generic_metric_gauges_raw
    UNION ALL
    SELECT 'counters_and_gauges', metric_id, metric_type, concat(toString(count_value), ' ', toString(`gauges_values.sum`)) FROM counters_and_gauges
) ORDER BY in_table, metric_id
