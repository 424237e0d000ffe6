;; message deadline: the call was cut off after
;; Different names, as many as the time allows: a number in hexadecimal, digit by digit a letter.
(func $evil (param $message i32)
  (local $i i32) (local $digit i32)
  (loop $again
    (local.set $digit (i32.const 0))
    (loop $digits
      (i32.store8 (i32.add (i32.const 8192) (local.get $digit))
        (i32.add (i32.const 97)
          (i32.and (i32.shr_u (local.get $i) (i32.mul (local.get $digit) (i32.const 4))) (i32.const 15))))
      (local.set $digit (i32.add (local.get $digit) (i32.const 1)))
      (br_if $digits (i32.lt_u (local.get $digit) (i32.const 8))))
    (call $count (i32.const 8192) (i32.const 8) (i64.const 1))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $again (i32.lt_u (local.get $i) (i32.const 1000000000)))))
