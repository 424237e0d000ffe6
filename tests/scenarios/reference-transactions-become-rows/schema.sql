-- The messages are of 2023: rows of them would be gone at once.
-- include processors/transactions/schema.sql
ALTER TABLE transactions REMOVE TTL;
