;; message trap: out of bounds
(func $evil (param $message i32) (call $log (i32.const 4) (i32.const -100) (i32.const 1000)))
