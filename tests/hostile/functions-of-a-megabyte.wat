;; load compile: function
;; 20 MB of code in functions of 1 MB: none of them too large for the format.
(@repeat 19 (func (param $x i64) (result i64)
  (@repeat 70000 (local.set $x (i64.mul (local.get $x) (i64.const 72057594037927936))))
  (local.get $x)))
