;; load contract: unable to define core module imports as traps
(component (import "anything" (core module)))
