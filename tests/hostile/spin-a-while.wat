;; message deadline: the call was cut off after
;; A second or two, and then it returns: somewhat late.
(func $evil (param $message i32)
  (local $left i64)
  (local.set $left (i64.const 2000000000))
  (loop $again
    (local.set $left (i64.sub (local.get $left) (i64.const 1)))
    (br_if $again (i64.ne (local.get $left) (i64.const 0)))))
