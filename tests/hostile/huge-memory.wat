;; load describe: bytes of memory and may have
(memory $memory 65536)
