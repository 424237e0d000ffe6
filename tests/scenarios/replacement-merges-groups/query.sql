SELECT group_id, project_id, message, group_first_seen, level, _tags_hash_map = [cityHash64('level=error')] AS hashed FROM errors FINAL WHERE NOT deleted ORDER BY partition, offset;
SELECT project_id, flag, group_id FROM replacement_flags FINAL ORDER BY ALL
