;; load manifest: the type of a column must have 1 to 10000 bytes
(func $manifest
  (local $at i32)
  (local.set $at (i32.const 131072))
  (loop $again
    (i32.store (local.get $at) (i32.const 0x61727241)) ;; "Arra"
    (i32.store16 offset=4 (local.get $at) (i32.const 0x2879)) ;; "y("
    (local.set $at (i32.add (local.get $at) (i32.const 6)))
    (br_if $again (i32.lt_u (local.get $at) (i32.const 191072))))
  (i32.store (i32.const 1416) (i32.const 131072)) (i32.store (i32.const 1420) (i32.const 60000)))
