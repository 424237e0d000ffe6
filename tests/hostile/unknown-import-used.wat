;; message trap: the processor called bank:vault/door@1.0.0#open, which the sandbox does not have
;; wit: package bank:vault@1.0.0 { interface door { open: func(code: string) -> bool; } }
;; wit: import bank:vault/door@1.0.0;
(import "bank:vault/door@1.0.0" "open" (func $open (param i32 i32) (result i32)))
(func $evil (param $message i32) (drop (call $open (i32.const 256) (i32.const 7))))
