;; load compile: 20000 places where 1000 variables may meet
;; Each loop is a place where each variable may have two values: the compiler keeps them all, in gigabytes.
(component
  (core module
    (func (param $p i32) (result i32) (local (@repeat 999 i32))
      (@repeat 1000 (local.set {i} (i32.add (local.get $p) (i32.const {i}))))
      (@repeat 20000 (loop (br_if 0 (local.get $p))))
      (@repeat 1000 (local.set $p (i32.add (local.get $p) (local.get {i}))))
      (local.get $p))))
