;; load read: the limit is 33554432
(component (core module (memory 1) (data (i32.const 0) "(@repeat 3400000 0123456789)")))
