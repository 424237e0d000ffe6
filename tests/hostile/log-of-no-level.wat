;; message trap: unexpected discriminant
(func $evil (param $message i32) (call $log (i32.const 77) (i32.const 256) (i32.const 3)))
