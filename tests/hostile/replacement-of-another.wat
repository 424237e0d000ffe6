;; message invalid-answer: the replacements are not those of the outcomes
(func $lie (param $message i32)
  (i32.store8 (i32.const 1168) (i32.const 1))
  (i32.store (i32.const 1204) (i32.load (i32.const 1300))) (i32.store (i32.const 1208) (i32.const 1)))
