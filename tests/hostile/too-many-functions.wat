;; load compile: it has more than 100000 functions
(component (core module (@repeat 100001 (func))))
