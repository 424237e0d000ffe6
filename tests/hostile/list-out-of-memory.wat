;; message invalid-answer: out of bounds of memory
(func $lie (param $message i32) (i32.store (i32.const 1284) (i32.const -16)))
