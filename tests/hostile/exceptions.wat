;; load compile: exceptions proposal not enabled
(component (core module (tag (param i32))))
