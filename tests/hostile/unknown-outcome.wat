;; message invalid-answer: there is no outcome 5
(func $lie (param $message i32) (i32.store8 (call $outcome (local.get $message)) (i32.const 5)))
