;; message invalid-answer: too much data
(func $lie (param $message i32)
  (drop (memory.grow (i32.const 224)))
  (i32.store (i32.const 1220) (i32.const 65536)) (i32.store (i32.const 1224) (i32.const 1000000)))
