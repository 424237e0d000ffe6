;; message invalid-answer: utf-8
(data (i32.const 8192) "\ff\fe\fd")
(func $lie (param $message i32)
  (i32.store (i32.const 2048) (local.get $message))
  (i32.store (i32.const 2052) (i32.const 8192)) (i32.store (i32.const 2056) (i32.const 3))
  (i32.store (i32.const 1220) (i32.const 2048)) (i32.store (i32.const 1224) (i32.const 1)))
