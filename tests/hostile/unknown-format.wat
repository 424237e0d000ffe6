;; load describe: discriminant
(func $manifest (i32.store8 (i32.const 1352) (i32.const 9)))
