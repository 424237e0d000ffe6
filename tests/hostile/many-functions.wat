;; none
(@repeat 20000 (func (result i32) (i32.const {i})))
