;; message invalid-answer: 1 replacements promised, none given
(func $lie (param $message i32)
  (i32.store8 (call $outcome (local.get $message)) (i32.const 2))
  (i32.store (i32.const 1164) (i32.const 0)))
