;; message invalid-answer: 20 times of reception for
(func $lie (param $message i32)
  (i32.store (i32.const 1228) (i32.const 2048)) (i32.store (i32.const 1232) (i32.const 20)))
