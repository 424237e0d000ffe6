;; message invalid-answer: a row of message 4294967295, whose outcome is another
(func $lie (param $message i32)
  (i32.store
    (i32.add (i32.load (i32.const 1300))
      (i32.mul (i32.const 4) (i32.sub (i32.load (i32.const 1304)) (i32.const 1))))
    (i32.const -1)))
