;; all deadline: the call was cut off after
(func $post_return (param $answer i32) (loop $again (br $again)))
