;; message trap: wasm `unreachable` instruction executed
(func $evil (param $message i32) (unreachable))
