;; load compile: a core module, not a component
(module (func (export "process")))
