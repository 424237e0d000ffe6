;; message trap: out of bounds memory access
(func $evil (param $message i32) (drop (i32.load (i32.const -8))))
