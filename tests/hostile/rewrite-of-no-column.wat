;; message invalid-answer: a rewrite of no column
(func $lie (param $message i32)
  (memory.fill (i32.const 2048) (i32.const 0) (i32.const 24))
  (i32.store8 (call $outcome (local.get $message)) (i32.const 3))
  (i32.store (i32.const 2048) (local.get $message))
  (i32.store (i32.const 1212) (i32.const 2048)) (i32.store (i32.const 1216) (i32.const 1)))
