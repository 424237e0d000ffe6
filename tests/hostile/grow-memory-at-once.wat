;; message memory: bytes of memory and may have
(func $evil (param $message i32)
  (if (i32.eq (memory.grow (i32.const 60000)) (i32.const -1)) (then (unreachable))))
