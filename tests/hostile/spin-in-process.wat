;; message deadline: the call was cut off after
(func $evil (param $message i32) (loop $again (br $again)))
