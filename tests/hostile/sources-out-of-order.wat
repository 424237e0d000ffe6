;; none
;; Among others the rows come in the wrong order, and the answer is refused; alone there is no wrong order.
(func $lie (param $message i32)
  (local $i i32) (local $n i32)
  (local.set $n (i32.load (i32.const 1156)))
  (loop $rows
    (i32.store (i32.add (i32.load (i32.const 1300)) (i32.mul (i32.const 4) (local.get $i)))
      (i32.sub (i32.sub (local.get $n) (i32.const 1)) (local.get $i)))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $rows (i32.lt_u (local.get $i) (local.get $n)))))
