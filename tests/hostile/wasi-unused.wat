;; none
;; wit: package wasi:random@0.2.6 { interface random { get-random-u64: func() -> u64; } }
;; wit: import wasi:random/random@0.2.6;
(import "wasi:random/random@0.2.6" "get-random-u64" (func $random (result i64)))
