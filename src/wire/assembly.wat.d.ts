/** The instance of assembly.wat, which the build compiles into a module that holds it (native/wat.mjs). */

export declare const memory: { readonly buffer: ArrayBuffer };

/** SipHash with `c` and `d` rounds of the blocks from 16 to `end`, under the key at 0. */
export declare function sipHash(c: number, d: number, end: number): number;

/** SipHash-1-3 of three words and a 0 under a key of four words, halves of the result one xor the other. */
export declare function sipHash16(
  k0: number,
  k1: number,
  k2: number,
  k3: number,
  w0: number,
  w1: number,
  w2: number,
): number;

/** The same of nine words and a 0. */
export declare function sipHash40(
  k0: number,
  k1: number,
  k2: number,
  k3: number,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
  w4: number,
  w5: number,
  w6: number,
  w7: number,
  w8: number,
): number;

/** The one's complement sum of the bytes from `at` to `end`: big-endian, in 16 bits. */
export declare function sum(at: number, end: number): number;
