;; message deadline: the call was cut off after
(func $evil (param $message i32) (return_call $evil (local.get $message)))
