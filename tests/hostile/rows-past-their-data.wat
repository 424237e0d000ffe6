;; message invalid-answer: the rows end at
(func $lie (param $message i32) (i32.store (i32.const 1288) (i32.const 0)))
