;; none
(func $deep (@repeat 10000 block) (@repeat 10000 end))
