;; load contract: expected `record` found `u32`
(component
  (core module $m (func (export "f") (result i32) (i32.const 7)) (memory (export "m") 1))
  (core instance $i (instantiate $m))
  (func $f (result u32) (canon lift (core func $i "f")))
  (instance $p (export "describe" (func $f)) (export "init" (func $f)) (export "process" (func $f)))
  (export "tidegate:processor/processor@0.1.0" (instance $p)))
