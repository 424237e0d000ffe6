-- include processors/errors/schema.sql
-- The messages have fixed dates.
ALTER TABLE errors REMOVE TTL;
