;; all trap: hostile
;; Each instance is replaced, and the next one has no new allowance.
(func $process (param $batch i32) (result i32)
  (local $i i32)
  (loop $again
    (call $log (i32.const 4) (i32.const 256) (i32.const 7))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $again (i32.lt_u (local.get $i) (i32.const 19))))
  (unreachable))
