SELECT group_id, partition, offset FROM errors_1 ORDER BY partition, offset
