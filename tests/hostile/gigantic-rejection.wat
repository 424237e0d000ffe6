;; message invalid: aaaaaaaa
;; 10 MiB of reason: what is kept of it fits into a header.
(func $lie (param $message i32)
  (drop (memory.grow (i32.const 224)))
  (memory.fill (i32.const 131072) (i32.const 97) (i32.const 10485760))
  (i32.store8 (call $outcome (local.get $message)) (i32.const 4))
  (i32.store (i32.const 1164) (i32.const 0))
  (i32.store (i32.const 2048) (local.get $message))
  (i32.store (i32.const 2052) (i32.const 131072)) (i32.store (i32.const 2056) (i32.const 10485760))
  (i32.store (i32.const 1220) (i32.const 2048)) (i32.store (i32.const 1224) (i32.const 1)))
