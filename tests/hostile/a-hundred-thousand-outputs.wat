;; load manifest: it has 100000 outputs and may have 100
;; The same one, again and again.
(func $manifest
  (local $i i32)
  (drop (memory.grow (i32.const 224)))
  (loop $again
    (memory.copy (i32.add (i32.const 131072) (i32.mul (local.get $i) (i32.const 20))) (i32.const 1344) (i32.const 20))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $again (i32.lt_u (local.get $i) (i32.const 100000))))
  (i32.store (i32.const 1040) (i32.const 131072)) (i32.store (i32.const 1044) (i32.const 100000)))
