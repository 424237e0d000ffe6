;; load manifest: its version must have 0 to 100 bytes
(func $manifest (i32.store (i32.const 1032) (i32.const 16384)) (i32.store (i32.const 1036) (i32.const 5000)))
