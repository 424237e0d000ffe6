;; init: utf-8
(data (i32.const 8192) "\ff\fe\fd")
(func $init (param i32 i32 i32 i32) (result i32)
  (i32.store8 (i32.const 1088) (i32.const 1))
  (i32.store (i32.const 1092) (i32.const 8192)) (i32.store (i32.const 1096) (i32.const 3))
  (i32.const 1088))
