;; load contract: no exported instance
(component (core module $m (memory 1)) (@repeat 900 (core instance (instantiate $m))))
