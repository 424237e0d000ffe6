;; load describe: elements of tables and may have
(@repeat 90 (table 1000000 funcref))
