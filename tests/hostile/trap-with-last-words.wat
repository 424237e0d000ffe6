;; message trap: it was too much for me (wasm trap: wasm `unreachable` instruction executed)
(data (i32.const 8192) "it was too much for me")
(func $evil (param $message i32) (call $log (i32.const 4) (i32.const 8192) (i32.const 22)) (unreachable))
