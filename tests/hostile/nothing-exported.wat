;; load contract: no exported instance named `tidegate:processor/processor@0.1.0`
(component)
