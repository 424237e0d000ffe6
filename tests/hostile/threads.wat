;; load compile: threads must be enabled
(component (core module (memory 1 2 shared)))
