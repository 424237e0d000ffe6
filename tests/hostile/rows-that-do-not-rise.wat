;; message invalid-answer: the ends of the rows do not rise
(func $lie (param $message i32)
  (local $ends i32)
  (local.set $ends (call $allocate (i32.const 12)))
  (i32.store (local.get $ends) (i32.const 2))
  (i32.store offset=4 (local.get $ends) (i32.const 1))
  (i32.store offset=8 (local.get $ends) (i32.const 3))
  (i32.store (i32.const 1292) (local.get $ends)) (i32.store (i32.const 1296) (i32.const 3))
  (i32.store (i32.const 1300) (local.get $ends)) (i32.store (i32.const 1304) (i32.const 3)))
