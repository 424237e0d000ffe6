;; load describe: wasm `unreachable` instruction executed
(func $manifest (unreachable))
