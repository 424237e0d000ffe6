;; message invalid-answer: output 0 comes twice
(func $lie (param $message i32)
  (memory.copy (i32.const 1308) (i32.const 1280) (i32.const 28))
  (i32.store (i32.const 1164) (i32.const 2)))
