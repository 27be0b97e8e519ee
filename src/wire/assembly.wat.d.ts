/** The instance of assembly.wat, which the build compiles into a module that holds it (native/wat.mjs). */

export declare const memory: { readonly buffer: ArrayBuffer };

/** SipHash with `c` and `d` rounds of the blocks from 16 to `end`, under the key at 0. */
export declare function sipHash(c: number, d: number, end: number): number;

/** The one's complement sum of the bytes from `at` to `end`: big-endian, in 16 bits. */
export declare function sum(at: number, end: number): number;
