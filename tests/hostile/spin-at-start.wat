;; load describe: the call was cut off after
(func $begin (loop $again (br $again)))
(start $begin)
