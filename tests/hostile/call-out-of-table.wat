;; message trap: undefined element: out of bounds table access
(type $nothing (func))
(table $table 1 funcref)
(func $evil (param $message i32) (call_indirect $table (type $nothing) (i32.const 7)))
