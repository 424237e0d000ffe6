;; message invalid-answer: not aligned
(func $lie (param $message i32) (i32.store (i32.const 1292) (i32.const 2049)))
