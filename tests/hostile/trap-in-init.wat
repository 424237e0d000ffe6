;; init: wasm `unreachable` instruction executed
(func $init (param i32 i32 i32 i32) (result i32) (unreachable))
