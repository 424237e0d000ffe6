;; load compile: async
(component (import "f" (func async)))
