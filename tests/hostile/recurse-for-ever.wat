;; message trap: call stack exhausted
(func $evil (param $message i32) (call $evil (local.get $message)) (call $evil (local.get $message)))
