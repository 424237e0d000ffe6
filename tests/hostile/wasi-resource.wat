;; message trap: the processor called wasi:cli/stdout@0.2.6#get-stdout, which the sandbox does not have
;; wit: package wasi:io@0.2.6 { interface streams { resource output-stream { flush: func(); } } }
;; wit: package wasi:cli@0.2.6 { interface stdout { use wasi:io/streams@0.2.6.{output-stream}; get-stdout: func() -> output-stream; } }
;; wit: import wasi:cli/stdout@0.2.6;
(import "wasi:cli/stdout@0.2.6" "get-stdout" (func $stdout (result i32)))
(import "wasi:io/streams@0.2.6" "[method]output-stream.flush" (func $flush (param i32)))
(func $evil (param $message i32) (call $flush (call $stdout)))
