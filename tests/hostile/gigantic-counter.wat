;; none
(func $evil (param $message i32)
  (drop (memory.grow (i32.const 224)))
  (memory.fill (i32.const 131072) (i32.const 97) (i32.const 10485760))
  (call $count (i32.const 131072) (i32.const 10485760) (i64.const -1))
  (call $count (i32.const 131072) (i32.const 10485760) (i64.const -1)))
