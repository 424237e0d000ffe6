;; none
;; The guest that every other file here changes: a row of one byte for each message. A form of another file replaces
;; the form here that has its name; README.md has the map of the memory.

(import "tidegate:processor/host@0.1.0" "log" (func $log (param i32 i32 i32)))
(import "tidegate:processor/host@0.1.0" "count" (func $count (param i32 i32 i64)))

(memory $memory 4)
(global $free (mut i32) (i32.const 65536))
(data $strings (i32.const 256) "hostile\001.0\00rowsn\00UInt8")

(func $allocate (param $size i32) (result i32)
  (local $at i32) (local $missing i32)
  (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
  (global.set $free (i32.add (local.get $at) (local.get $size)))
  (local.set $missing
    (i32.sub (i32.shr_u (i32.add (global.get $free) (i32.const 65535)) (i32.const 16)) (memory.size)))
  (if (i32.gt_s (local.get $missing) (i32.const 0))
    (then (if (i32.eq (memory.grow (local.get $missing)) (i32.const -1)) (then (unreachable)))))
  (local.get $at))

(func $realloc (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
  (call $allocate (local.get $size)))

(func $post_return (param $answer i32)
  (global.set $free (i32.const 65536)))

;; ------------------------------------------------------------------ describe

(func $describe (result i32)
  (i32.store (i32.const 1024) (i32.const 256)) (i32.store (i32.const 1028) (i32.const 7)) ;; name
  (i32.store (i32.const 1032) (i32.const 264)) (i32.store (i32.const 1036) (i32.const 3)) ;; version
  (i32.store (i32.const 1040) (i32.const 1344)) (i32.store (i32.const 1044) (i32.const 1)) ;; outputs
  (i32.store (i32.const 1344) (i32.const 268)) (i32.store (i32.const 1348) (i32.const 4)) ;; name of the output
  (i32.store (i32.const 1356) (i32.const 1408)) (i32.store (i32.const 1360) (i32.const 1)) ;; its columns
  (i32.store (i32.const 1408) (i32.const 272)) (i32.store (i32.const 1412) (i32.const 1)) ;; name of the column
  (i32.store (i32.const 1416) (i32.const 274)) (i32.store (i32.const 1420) (i32.const 5)) ;; its type
  (call $manifest)
  (i32.const 1024))

(func $manifest)

;; ------------------------------------------------------------------ init

(func $init (param $params i32) (param $params_len i32) (param $topics i32) (param $topics_len i32) (result i32)
  (i32.const 1088))

;; ------------------------------------------------------------------ process

(func $process (param $batch i32) (result i32)
  (local $n i32) (local $i i32) (local $start i32) (local $end i32) (local $evil i32)
  (local $outcomes i32) (local $data i32) (local $row_ends i32) (local $sources i32)
  (local.set $n (i32.load offset=12 (local.get $batch)))
  (local.set $evil (i32.const -1))
  (local.set $outcomes (call $allocate (local.get $n)))
  (local.set $data (call $allocate (local.get $n)))
  (local.set $row_ends (call $allocate (i32.mul (local.get $n) (i32.const 4))))
  (local.set $sources (call $allocate (i32.mul (local.get $n) (i32.const 4))))
  (loop $messages
    (local.set $end
      (i32.load (i32.add (i32.load offset=8 (local.get $batch)) (i32.mul (local.get $i) (i32.const 4)))))
    (i32.store8 (i32.add (local.get $outcomes) (local.get $i)) (i32.const 0))
    (i32.store8 (i32.add (local.get $data) (local.get $i)) (local.get $i))
    (i32.store (i32.add (local.get $row_ends) (i32.mul (local.get $i) (i32.const 4)))
      (i32.add (local.get $i) (i32.const 1)))
    (i32.store (i32.add (local.get $sources) (i32.mul (local.get $i) (i32.const 4))) (local.get $i))
    (if (i32.lt_u (local.get $start) (local.get $end))
      (then
        (if (i32.eq (i32.load8_u (i32.add (i32.load (local.get $batch)) (local.get $start))) (i32.const 33))
          (then
            (local.set $evil (local.get $i))
            (call $evil (local.get $i))))))
    (local.set $start (local.get $end))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $messages (i32.lt_u (local.get $i) (local.get $n))))
  (memory.fill (i32.const 1152) (i32.const 0) (i32.const 84))
  (i32.store (i32.const 1152) (local.get $outcomes)) (i32.store (i32.const 1156) (local.get $n))
  (i32.store (i32.const 1160) (i32.const 1280)) (i32.store (i32.const 1164) (i32.const 1))
  (i32.store (i32.const 1280) (i32.const 0))
  (i32.store (i32.const 1284) (local.get $data)) (i32.store (i32.const 1288) (local.get $n))
  (i32.store (i32.const 1292) (local.get $row_ends)) (i32.store (i32.const 1296) (local.get $n))
  (i32.store (i32.const 1300) (local.get $sources)) (i32.store (i32.const 1304) (local.get $n))
  (if (i32.ne (local.get $evil) (i32.const -1)) (then (call $lie (local.get $evil))))
  (i32.const 1152))

;; A message that begins with "!" was met.
(func $evil (param $message i32))

;; The answer to a call that had one is ready.
(func $lie (param $message i32))

;; The outcome of a message, to be changed.
(func $outcome (param $message i32) (result i32)
  (i32.add (i32.load (i32.const 1152)) (local.get $message)))

(export "memory" (memory $memory))
(export "cabi_realloc" (func $realloc))
(export "tidegate:processor/processor@0.1.0#describe" (func $describe))
(export "tidegate:processor/processor@0.1.0#init" (func $init))
(export "tidegate:processor/processor@0.1.0#process" (func $process))
(export "cabi_post_tidegate:processor/processor@0.1.0#process" (func $post_return))
