;; load compile: function
;; 20 MB of code in one function.
(func $enormous (param $x i64) (result i64)
  (@repeat 1400000 (local.set $x (i64.mul (local.get $x) (i64.const 72057594037927936))))
  (local.get $x))
