;; load compile: gc
(component (core module (type (struct (field i32)))))
