;; load describe: the call was cut off after
(func $manifest (loop $again (br $again)))
