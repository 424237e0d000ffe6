-- include processors/errors/schema.sql
-- The messages have fixed dates.
ALTER TABLE errors REMOVE TTL;
CREATE TABLE errors_of_europe AS errors;
