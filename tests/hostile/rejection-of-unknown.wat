;; message invalid-answer: a rejection of message 1000, whose outcome is another
(func $lie (param $message i32)
  (memory.fill (i32.const 2048) (i32.const 0) (i32.const 12))
  (i32.store (i32.const 2048) (i32.const 1000))
  (i32.store (i32.const 1220) (i32.const 2048)) (i32.store (i32.const 1224) (i32.const 1)))
