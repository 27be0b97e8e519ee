/** The engine's own randomness: SipHash in counter mode over a secret seed. Same seed, same run. */
import { SipHash } from './siphash.js';

export class KeyedRandom {
  private readonly hash: SipHash;
  private readonly counter = new DataView(new ArrayBuffer(8));
  private count = 0;

  /** `seed`: 32 bytes; the first 16 key the generator. */
  constructor(seed: Uint8Array) {
    this.hash = new SipHash(deriveKey(seed, 0));
  }

  /** A random int32. */
  next(): number {
    this.count++;
    this.counter.setFloat64(0, this.count);
    this.hash.hashWords(this.counter.getInt32(0, true), this.counter.getInt32(4, true));
    return this.hash.lo;
  }

  /** A random integer in [0, n), n at most 2^31. */
  below(n: number): number {
    return Math.floor(((this.next() >>> 0) / 0x1_0000_0000) * n);
  }
}

/** A 16-byte key of its own for each purpose: SipHash under both halves of the seed. */
export function deriveKey(seed: Uint8Array, label: number): Uint8Array {
  const key = new Uint8Array(16);
  const out = new DataView(key.buffer);
  for (let half = 0; half < 2; half++) {
    const hash = new SipHash(seed.subarray(16 * half, 16 * half + 16));
    const text = new Uint8Array(16 + 2);
    text.set(seed.subarray(16 - 16 * half, 32 - 16 * half));
    text[16] = label;
    text[17] = half;
    hash.hashBytes(text);
    out.setInt32(8 * half, hash.lo, true);
    out.setInt32(8 * half + 4, hash.hi, true);
  }
  return key;
}
