;; message deadline: the call was cut off after
;; Two calls deep down, each two more: no loop, and no end within a lifetime.
(func $evil (param $message i32) (call $twice (i32.const 200)))
(func $twice (param $left i32)
  (if (local.get $left)
    (then
      (call $twice (i32.sub (local.get $left) (i32.const 1)))
      (call $twice (i32.sub (local.get $left) (i32.const 1))))))
