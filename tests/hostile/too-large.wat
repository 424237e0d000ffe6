;; load compile: it has more than 33554432 bytes
(component (core module (memory 1) (data (i32.const 0) "(@repeat 3400000 0123456789)")))
