;; message invalid-answer: a rewrite of message 4294967295, whose outcome is another
(func $lie (param $message i32)
  (memory.fill (i32.const 2048) (i32.const 0) (i32.const 24))
  (i32.store (i32.const 2048) (i32.const -1))
  (i32.store (i32.const 1212) (i32.const 2048)) (i32.store (i32.const 1216) (i32.const 1)))
