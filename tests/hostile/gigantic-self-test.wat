;; load manifest: its self-test has 10485760 bytes and may have 4194304
(func $manifest
  (drop (memory.grow (i32.const 224)))
  (memory.fill (i32.const 131072) (i32.const 97) (i32.const 10485760))
  (i32.store (i32.const 1052) (i32.const 131072)) (i32.store (i32.const 1056) (i32.const 10485760)))
