;; all deadline: the call was cut off after
;; Only for lists of a batch: describing and configuring it goes well.
(global $ready (mut i32) (i32.const 0))
(func $init (param i32 i32 i32 i32) (result i32) (global.set $ready (i32.const 1)) (i32.const 1088))
(func $realloc (param i32 i32 i32) (param $size i32) (result i32)
  (if (global.get $ready) (then (loop $again (br $again))))
  (call $allocate (local.get $size)))
