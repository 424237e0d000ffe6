SELECT group_id, project_id, message FROM errors FINAL WHERE NOT deleted ORDER BY partition, offset;
SELECT project_id, flag, group_id FROM replacement_flags FINAL ORDER BY ALL
