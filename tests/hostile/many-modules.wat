;; load compile: modules count exceeds limit
(component (@repeat 1001 (core module)))
