SELECT group_id, partition, offset FROM errors ORDER BY partition, offset
