;; none
;; A name with the marks of the exposition format in it.
(data (i32.const 8192) "a\"} 1\0atidegate_lag{pipeline=\"other\"} 0\0a")
(func $evil (param $message i32) (call $count (i32.const 8192) (i32.const 40) (i64.const 1)))
