;; load compile: export
(component (core module (func $f) (@repeat 1000001 (export "f{i}" (func $f)))))
