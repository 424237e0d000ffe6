-- include processors/errors/schema.sql
-- The messages have fixed dates.
ALTER TABLE errors REMOVE TTL;
RENAME TABLE errors TO errors_1;
