;; message invalid-answer: the rows end at
(func $lie (param $message i32)
  (i32.store (i32.load (i32.const 1292)) (i32.const -1))
  (i32.store (i32.const 1296) (i32.const 1)) (i32.store (i32.const 1304) (i32.const 1)))
