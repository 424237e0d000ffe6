;; message invalid-answer: there is no output 9
(func $lie (param $message i32) (i32.store (i32.const 1280) (i32.const 9)))
