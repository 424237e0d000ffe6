;; message invalid-row: 1 bytes follow the row
;; The row of the message has a byte too many; every number agrees with every other.
(func $lie (param $message i32)
  (local $at i32) (local $i i32) (local $n i32)
  (local.set $n (i32.load (i32.const 1156)))
  (local.set $at (call $allocate (i32.add (local.get $n) (i32.const 1))))
  (i32.store (i32.const 1284) (local.get $at))
  (i32.store (i32.const 1288) (i32.add (local.get $n) (i32.const 1)))
  (local.set $i (local.get $message))
  (loop $later
    (local.set $at (i32.add (i32.load (i32.const 1292)) (i32.mul (local.get $i) (i32.const 4))))
    (i32.store (local.get $at) (i32.add (i32.load (local.get $at)) (i32.const 1)))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $later (i32.lt_u (local.get $i) (local.get $n)))))
