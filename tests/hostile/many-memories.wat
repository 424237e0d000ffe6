;; load describe: bytes of memory and may have
;; Each one is within the limit.
(@repeat 20 (memory 256))
