;; message invalid-answer: whose outcome is another
(func $lie (param $message i32) (i32.store8 (call $outcome (local.get $message)) (i32.const 1)))
