;; message invalid-answer: outcomes for
(func $lie (param $message i32) (i32.store (i32.const 1156) (i32.const 4000)))
