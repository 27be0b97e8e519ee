/**
 * Serial number arithmetic modulo 2^32 (RFC 9293 3.4, RFC 1982, RFC 7323 5.2).
 *
 * Sequence numbers, timestamp values and clock readings (milliseconds) are all
 * 32-bit serial numbers held as signed int32 (`x | 0`), which V8 keeps unboxed.
 * They are never compared with `<`: two values 2^31 apart have no order, and the
 * functions below say which answer they give there.
 */

/** a + b modulo 2^32, as int32. */
export function add(a: number, b: number): number {
  return (a + b) | 0;
}

/** Signed distance from b to a modulo 2^32: -2^31 .. 2^31-1. */
export function diff(a: number, b: number): number {
  return (a - b) | 0;
}

/** a is strictly before b; at a distance of exactly 2^31 both orders are "before" (Linux `before`). */
export function before(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

/** a is strictly after b; at a distance of exactly 2^31 the answer is true (Linux `after`, not BSD `SEQ_GT`). */
export function after(a: number, b: number): boolean {
  return ((b - a) | 0) < 0;
}

/** a is before b or equal: BSD `SEQ_LEQ`; true at a distance of exactly 2^31. */
export function beforeEq(a: number, b: number): boolean {
  return ((a - b) | 0) <= 0;
}

/** a is after b or equal: BSD `SEQ_GEQ`; false at a distance of exactly 2^31. */
export function afterEq(a: number, b: number): boolean {
  return ((a - b) | 0) >= 0;
}

/** BSD `SEQ_GT`: a is strictly after b; false at a distance of exactly 2^31. */
export function greater(a: number, b: number): boolean {
  return ((a - b) | 0) > 0;
}

/** x lies in [start, start + size), with size an unsigned 32-bit count. */
export function inWindow(x: number, start: number, size: number): boolean {
  return (x - start) >>> 0 < size >>> 0;
}

/** The later of two serial numbers. */
export function max(a: number, b: number): number {
  return ((a - b) | 0) > 0 ? a : b;
}

/** The earlier of two serial numbers. */
export function min(a: number, b: number): number {
  return ((a - b) | 0) < 0 ? a : b;
}

/** The unsigned reading, 0 .. 2^32-1, for printing. */
export function unsigned(a: number): number {
  return a >>> 0;
}
