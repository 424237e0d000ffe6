SELECT group_id, project_id, message, level, environment, user, user_hash = cityHash64(user) AS hashed, length(_tags_hash_map) AS hashes, tags.key, tags.value FROM errors FINAL WHERE NOT deleted ORDER BY partition, offset;
SELECT project_id, flag, group_id FROM replacement_flags FINAL ORDER BY ALL
