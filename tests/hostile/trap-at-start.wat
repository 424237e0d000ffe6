;; load describe: wasm `unreachable` instruction executed
(func $begin (unreachable))
(start $begin)
