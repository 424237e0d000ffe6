;; load describe: the processor called wasi:clocks/monotonic-clock@0.2.6#now, which the sandbox does not have
;; wit: package wasi:clocks@0.2.6 { interface monotonic-clock { now: func() -> u64; } }
;; wit: import wasi:clocks/monotonic-clock@0.2.6;
(import "wasi:clocks/monotonic-clock@0.2.6" "now" (func $now (result i64)))
(func $describe (result i32) (drop (call $now)) (unreachable))
