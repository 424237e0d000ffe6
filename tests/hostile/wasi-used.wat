;; message trap: the processor called wasi:random/random@0.2.6#get-random-u64, which the sandbox does not have
;; wit: package wasi:random@0.2.6 { interface random { get-random-u64: func() -> u64; } }
;; wit: import wasi:random/random@0.2.6;
(import "wasi:random/random@0.2.6" "get-random-u64" (func $random (result i64)))
(func $evil (param $message i32) (drop (call $random)))
