;; What JavaScript has no numbers for: SipHash in words of 64 bits, the Internet checksum in
;; vectors of 128. Both work on the module's own memory, which never grows.
;;
;;     0              16                   1024                  131072             2228224
;;     [ key | result ][ SipHash's message ][ bytes to be summed ][ memory of rings ]
;;
;; Multi-byte values are little-endian, as in all of WebAssembly and in SipHash's reference.
(module
  (memory (export "memory") 34 34)

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

  ;; What is defined by @define, native/wat.mjs puts in where its name stands behind an @.
  (@define round
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
  )
  (@define join $into $lo $hi
    (local.set $into (i64.or
      (i64.extend_i32_u (local.get $lo))
      (i64.shl (i64.extend_i32_u (local.get $hi)) (i64.const 32))))
  )
  (@define begin
    (@join $v0 $k0 $k1)
    (@join $v1 $k2 $k3)
    (local.set $v2 (i64.xor (local.get $v0) (i64.const 0x6c7967656e657261)))
    (local.set $v3 (i64.xor (local.get $v1) (i64.const 0x7465646279746573)))
    (local.set $v0 (i64.xor (local.get $v0) (i64.const 0x736f6d6570736575)))
    (local.set $v1 (i64.xor (local.get $v1) (i64.const 0x646f72616e646f6d)))
  )
  (@define block $lo $hi
    (@join $block $lo $hi)
    (local.set $v3 (i64.xor (local.get $v3) (local.get $block)))
    (@round)
    (local.set $v0 (i64.xor (local.get $v0) (local.get $block)))
  )
  (@define end
    (local.set $v2 (i64.xor (local.get $v2) (i64.const 0xff)))
    (@round)
    (@round)
    (@round)
    (local.set $v0
      (i64.xor
        (i64.xor (local.get $v0) (local.get $v1))
        (i64.xor (local.get $v2) (local.get $v3))))
    (i32.wrap_i64 (i64.xor (local.get $v0) (i64.shr_u (local.get $v0) (i64.const 32))))
  )

  ;; SipHash-1-3 under the key $k0 to $k3 of 16 bytes in words, the last of them 0: half the time of
  ;; the general one, as nothing goes through memory and no round is counted.
  (func (export "sipHash16")
    (param $k0 i32) (param $k1 i32) (param $k2 i32) (param $k3 i32)
    (param $w0 i32) (param $w1 i32) (param $w2 i32)
    (result i32)
    (local $v0 i64) (local $v1 i64) (local $v2 i64) (local $v3 i64) (local $block i64)
    (local $zero i32) (local $length i32)
    (local.set $length (i32.const 0x10000000))
    (@begin)
    (@block $w0 $w1)
    (@block $w2 $zero)
    (@block $zero $length)
    (@end))

  ;; The same of 40 bytes.
  (func (export "sipHash40")
    (param $k0 i32) (param $k1 i32) (param $k2 i32) (param $k3 i32)
    (param $w0 i32) (param $w1 i32) (param $w2 i32) (param $w3 i32) (param $w4 i32)
    (param $w5 i32) (param $w6 i32) (param $w7 i32) (param $w8 i32)
    (result i32)
    (local $v0 i64) (local $v1 i64) (local $v2 i64) (local $v3 i64) (local $block i64)
    (local $zero i32) (local $length i32)
    (local.set $length (i32.const 0x28000000))
    (@begin)
    (@block $w0 $w1)
    (@block $w2 $w3)
    (@block $w4 $w5)
    (@block $w6 $w7)
    (@block $w8 $zero)
    (@block $zero $length)
    (@end))

  ;; The one's complement sum of the bytes from $at to $end, at most 2^17 of them, in 16 bits and
  ;; big-endian: a sum of swapped halves is the swapped sum (RFC 1071 2 (B)). Products of signed halves are
  ;; added in pairs by one instruction, so a half less 2^15 is multiplied by one; $vectors times 8 * 2^15 makes up for it.
  (func (export "sum") (param $at i32) (param $end i32) (result i32)
    (local $s0 v128) (local $s1 v128) (local $s2 v128) (local $s3 v128) (local $bias v128) (local $ones v128)
    (local $total i64) (local $rest i32)
    (local.set $bias (v128.const i16x8 0x8000 0x8000 0x8000 0x8000 0x8000 0x8000 0x8000 0x8000))
    (local.set $ones (v128.const i16x8 1 1 1 1 1 1 1 1))
    (local.set $total (i64.extend_i32_u (i32.shr_u (i32.sub (local.get $end) (local.get $at)) (i32.const 4))))
    (block $short
      (loop $vectors
        (br_if $short (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 64)))
        (local.set $s0 (i32x4.add (local.get $s0)
          (i32x4.dot_i16x8_s (v128.xor (v128.load (local.get $at)) (local.get $bias)) (local.get $ones))))
        (local.set $s1 (i32x4.add (local.get $s1)
          (i32x4.dot_i16x8_s (v128.xor (v128.load offset=16 (local.get $at)) (local.get $bias)) (local.get $ones))))
        (local.set $s2 (i32x4.add (local.get $s2)
          (i32x4.dot_i16x8_s (v128.xor (v128.load offset=32 (local.get $at)) (local.get $bias)) (local.get $ones))))
        (local.set $s3 (i32x4.add (local.get $s3)
          (i32x4.dot_i16x8_s (v128.xor (v128.load offset=48 (local.get $at)) (local.get $bias)) (local.get $ones))))
        (local.set $at (i32.add (local.get $at) (i32.const 64)))
        (br $vectors)))
    (block $few
      (loop $vector
        (br_if $few (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 16)))
        (local.set $s0 (i32x4.add (local.get $s0)
          (i32x4.dot_i16x8_s (v128.xor (v128.load (local.get $at)) (local.get $bias)) (local.get $ones))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $vector)))
    (local.set $s0 (i32x4.add
      (i32x4.add (local.get $s0) (local.get $s1))
      (i32x4.add (local.get $s2) (local.get $s3))))
    (local.set $s0 (i64x2.add
      (i64x2.extend_low_i32x4_s (local.get $s0))
      (i64x2.extend_high_i32x4_s (local.get $s0))))
    (local.set $total (i64.add
      (i64.shl (local.get $total) (i64.const 18))
      (i64.add (i64x2.extract_lane 0 (local.get $s0)) (i64x2.extract_lane 1 (local.get $s0)))))
    (block $byte
      (loop $halves
        (br_if $byte (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 2)))
        (local.set $rest (i32.add (local.get $rest) (i32.load16_u (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 2)))
        (br $halves)))
    ;; An odd last byte counts as if a zero byte followed
    (if (i32.lt_u (local.get $at) (local.get $end))
      (then (local.set $rest (i32.add (local.get $rest) (i32.load8_u (local.get $at))))))
    (local.set $total (i64.add (local.get $total) (i64.extend_i32_u (local.get $rest))))
    (local.set $rest (i32.add
      (i32.wrap_i64 (i64.and (local.get $total) (i64.const 0xffff)))
      (i32.wrap_i64 (i64.shr_u (local.get $total) (i64.const 16)))))
    (local.set $rest (call $fold (call $fold (local.get $rest))))
    (i32.or
      (i32.shr_u (local.get $rest) (i32.const 8))
      (i32.shl (i32.and (local.get $rest) (i32.const 0xff)) (i32.const 8))))

  (func $fold (param $sum i32) (result i32)
    (i32.add (i32.and (local.get $sum) (i32.const 0xffff)) (i32.shr_u (local.get $sum) (i32.const 16)))))
