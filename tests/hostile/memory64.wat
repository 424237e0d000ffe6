;; load compile: memory64 must be enabled
(component (core module (memory i64 1)))
