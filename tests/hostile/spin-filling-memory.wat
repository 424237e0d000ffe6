;; message deadline: the call was cut off after
;; One instruction fills 14 MiB and cannot be cut; the loop around it can.
(func $evil (param $message i32)
  (drop (memory.grow (i32.const 224)))
  (loop $again
    (memory.fill (i32.const 262144) (i32.const 1) (i32.const 14680064))
    (br $again)))
