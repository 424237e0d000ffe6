;; message trap: utf-8
(data (i32.const 8192) "\ff\fe\fd")
(func $evil (param $message i32) (call $log (i32.const 4) (i32.const 8192) (i32.const 3)))
