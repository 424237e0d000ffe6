;; load describe: utf-8
(data (i32.const 256) "\ff\fe\fd")
