-- include processors/errors/schema.sql
-- include processors/replacements/schema.sql
-- The messages have fixed dates.
ALTER TABLE errors REMOVE TTL;
