;; message invalid-answer: too much data
;; A hundred outputs, each all of 14 MiB of the same memory.
(func $lie (param $message i32)
  (local $i i32) (local $at i32)
  (drop (memory.grow (i32.const 224)))
  (loop $again
    (local.set $at (i32.add (i32.const 2048) (i32.mul (local.get $i) (i32.const 28))))
    (memory.copy (local.get $at) (i32.const 1280) (i32.const 28))
    (i32.store (local.get $at) (local.get $i))
    (i32.store offset=4 (local.get $at) (i32.const 0)) (i32.store offset=8 (local.get $at) (i32.const 14680064))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $again (i32.lt_u (local.get $i) (i32.const 100))))
  (i32.store (i32.const 1160) (i32.const 2048)) (i32.store (i32.const 1164) (i32.const 100)))
