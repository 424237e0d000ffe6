;; all trap: wasm `unreachable` instruction executed
(global $ready (mut i32) (i32.const 0))
(func $init (param i32 i32 i32 i32) (result i32) (global.set $ready (i32.const 1)) (i32.const 1088))
(func $realloc (param i32 i32 i32) (param $size i32) (result i32)
  (if (global.get $ready) (then (unreachable)))
  (call $allocate (local.get $size)))
