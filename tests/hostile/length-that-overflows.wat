;; message invalid-answer: out of bounds of memory
;; 2^30 + 1 elements of 4 bytes are 4 bytes, for who does not look.
(func $lie (param $message i32) (i32.store (i32.const 1296) (i32.const 0x40000001)))
