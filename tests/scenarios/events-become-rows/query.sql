SELECT group_id, partition, offset, message, level, environment, user_id, timestamp_ms FROM errors ORDER BY partition, offset
