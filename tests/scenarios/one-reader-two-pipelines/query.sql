SELECT 'all' AS pipeline, group_id, partition, offset FROM errors ORDER BY partition, offset;
SELECT 'of-europe' AS pipeline, group_id, partition, offset FROM errors_of_europe ORDER BY partition, offset
