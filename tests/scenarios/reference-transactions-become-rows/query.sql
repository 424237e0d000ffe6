SELECT * EXCEPT (message_timestamp) FROM transactions ORDER BY offset
