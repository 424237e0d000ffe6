;; message memory: bytes of memory and may have
(func $evil (param $message i32)
  (loop $again (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
  (unreachable))
