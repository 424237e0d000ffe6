;; load manifest: output "rows" has 100000 columns and may have 2000
(func $manifest
  (local $i i32)
  (drop (memory.grow (i32.const 224)))
  (loop $again
    (memory.copy (i32.add (i32.const 131072) (i32.mul (local.get $i) (i32.const 16))) (i32.const 1408) (i32.const 16))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $again (i32.lt_u (local.get $i) (i32.const 100000))))
  (i32.store (i32.const 1356) (i32.const 131072)) (i32.store (i32.const 1360) (i32.const 100000)))
