;; message deadline: the call was cut off after
;; Memory was refused, and yet it is time that ran out.
(func $evil (param $message i32)
  (drop (memory.grow (i32.const 60000)))
  (loop $again (br $again)))
