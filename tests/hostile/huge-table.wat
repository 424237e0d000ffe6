;; load describe: elements of tables and may have
(table 9000000 funcref)
