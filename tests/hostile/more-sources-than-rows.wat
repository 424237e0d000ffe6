;; message invalid-answer: sources
(func $lie (param $message i32) (i32.store (i32.const 1304) (i32.const 500)))
