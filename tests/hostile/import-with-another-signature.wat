;; load contract: tidegate:processor/host@0.1.0
(component
  (import "tidegate:processor/host@0.1.0" (instance (export "count" (func (param "name" u32))))))
