;; message deadline: the call was cut off after
(func $evil (param $message i32)
  (loop $again (call $log (i32.const 2) (i32.const 256) (i32.const 7)) (br $again)))
