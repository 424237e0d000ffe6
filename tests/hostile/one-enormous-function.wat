;; load compile: bytes and may have 524288
;; 20 MB of code in one function.
(component
  (core module
    (func $enormous (param $x i64) (result i64)
      (@repeat 1400000 (local.set $x (i64.mul (local.get $x) (i64.const 72057594037927936))))
      (local.get $x))))
