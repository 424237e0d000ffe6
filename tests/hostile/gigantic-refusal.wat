;; init: aaaaaaaa
(func $init (param i32 i32 i32 i32) (result i32)
  (drop (memory.grow (i32.const 224)))
  (memory.fill (i32.const 131072) (i32.const 97) (i32.const 10485760))
  (i32.store8 (i32.const 1088) (i32.const 1))
  (i32.store (i32.const 1092) (i32.const 131072)) (i32.store (i32.const 1096) (i32.const 10485760))
  (i32.const 1088))
