;; What JavaScript has no numbers for: SipHash in words of 64 bits, the Internet checksum in
;; vectors of 128. Both work on the module's own memory, which never grows.
;;
;;     0              16                   1024                            131072
;;     [ key | result ][ SipHash's message ][ bytes to be summed            ]
;;
;; Multi-byte values are little-endian, as in all of WebAssembly and in SipHash's reference.
(module
  (memory (export "memory") 2 2)

  ;; SipHash of the whole blocks from 16 to $end, under the 16 bytes at 0: $c rounds a block, $d at
  ;; the end. The 64 bits of the result lie at 0 then; returned are both halves, one xor the other.
  (func (export "sipHash") (param $c i32) (param $d i32) (param $end i32) (result i32)
    (local $v0 i64) (local $v1 i64) (local $v2 i64) (local $v3 i64)
    (local $block i64) (local $at i32) (local $left i32)
    (local.set $v0 (i64.xor (i64.load (i32.const 0)) (i64.const 0x736f6d6570736575)))
    (local.set $v1 (i64.xor (i64.load (i32.const 8)) (i64.const 0x646f72616e646f6d)))
    (local.set $v2 (i64.xor (i64.load (i32.const 0)) (i64.const 0x6c7967656e657261)))
    (local.set $v3 (i64.xor (i64.load (i32.const 8)) (i64.const 0x7465646279746573)))
    (local.set $at (i32.const 16))
    (local.set $block (i64.load (i32.const 16)))
    (local.set $v3 (i64.xor (local.get $v3) (local.get $block)))
    (local.set $left (local.get $c))
    (loop $round
      (local.set $v0 (i64.add (local.get $v0) (local.get $v1)))
      (local.set $v1 (i64.xor (i64.rotl (local.get $v1) (i64.const 13)) (local.get $v0)))
      (local.set $v0 (i64.rotl (local.get $v0) (i64.const 32)))
      (local.set $v2 (i64.add (local.get $v2) (local.get $v3)))
      (local.set $v3 (i64.xor (i64.rotl (local.get $v3) (i64.const 16)) (local.get $v2)))
      (local.set $v0 (i64.add (local.get $v0) (local.get $v3)))
      (local.set $v3 (i64.xor (i64.rotl (local.get $v3) (i64.const 21)) (local.get $v0)))
      (local.set $v2 (i64.add (local.get $v2) (local.get $v1)))
      (local.set $v1 (i64.xor (i64.rotl (local.get $v1) (i64.const 17)) (local.get $v2)))
      (local.set $v2 (i64.rotl (local.get $v2) (i64.const 32)))
      (br_if $round (local.tee $left (i32.sub (local.get $left) (i32.const 1))))
      ;; A block, or the end, is done
      (if (i32.lt_u (local.get $at) (local.get $end))
        (then
          (local.set $v0 (i64.xor (local.get $v0) (local.get $block)))
          (local.set $at (i32.add (local.get $at) (i32.const 8)))
          (if (i32.lt_u (local.get $at) (local.get $end))
            (then
              (local.set $block (i64.load (local.get $at)))
              (local.set $v3 (i64.xor (local.get $v3) (local.get $block)))
              (local.set $left (local.get $c)))
            (else
              (local.set $v2 (i64.xor (local.get $v2) (i64.const 0xff)))
              (local.set $left (local.get $d))))
          (br $round))))
    (local.set $v0
      (i64.xor
        (i64.xor (local.get $v0) (local.get $v1))
        (i64.xor (local.get $v2) (local.get $v3))))
    (i64.store (i32.const 0) (local.get $v0))
    (i32.wrap_i64 (i64.xor (local.get $v0) (i64.shr_u (local.get $v0) (i64.const 32)))))

  ;; The one's complement sum of the bytes from $at to $end, at most 2^20 of them, in 16 bits and
  ;; big-endian: a sum of swapped halves is the swapped sum (RFC 1071 2 (B)).
  (func (export "sum") (param $at i32) (param $end i32) (result i32)
    (local $even v128) (local $odd v128) (local $total i32)
    (block $short
      (loop $vectors
        (br_if $short (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 32)))
        (local.set $even
          (i32x4.add (local.get $even) (i32x4.extadd_pairwise_i16x8_u (v128.load (local.get $at)))))
        (local.set $odd
          (i32x4.add (local.get $odd) (i32x4.extadd_pairwise_i16x8_u (v128.load offset=16 (local.get $at)))))
        (local.set $at (i32.add (local.get $at) (i32.const 32)))
        (br $vectors)))
    (local.set $even (i32x4.add (local.get $even) (local.get $odd)))
    (local.set $total (i32.add
      (i32.add (call $fold (i32x4.extract_lane 0 (local.get $even))) (call $fold (i32x4.extract_lane 1 (local.get $even))))
      (i32.add (call $fold (i32x4.extract_lane 2 (local.get $even))) (call $fold (i32x4.extract_lane 3 (local.get $even))))))
    (block $byte
      (loop $halves
        (br_if $byte (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 2)))
        (local.set $total (i32.add (local.get $total) (i32.load16_u (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 2)))
        (br $halves)))
    ;; An odd last byte counts as if a zero byte followed
    (if (i32.lt_u (local.get $at) (local.get $end))
      (then (local.set $total (i32.add (local.get $total) (i32.load8_u (local.get $at))))))
    (local.set $total (call $fold (call $fold (local.get $total))))
    (i32.or
      (i32.shr_u (local.get $total) (i32.const 8))
      (i32.shl (i32.and (local.get $total) (i32.const 0xff)) (i32.const 8))))

  (func $fold (param $sum i32) (result i32)
    (i32.add (i32.and (local.get $sum) (i32.const 0xffff)) (i32.shr_u (local.get $sum) (i32.const 16)))))
