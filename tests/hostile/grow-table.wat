;; message memory: elements of tables and may have
(table $table 1 funcref)
(func $evil (param $message i32)
  (loop $again
    (if (i32.eq (table.grow $table (ref.null func) (i32.const 100000)) (i32.const -1))
      (then (unreachable)))
    (br $again)))
