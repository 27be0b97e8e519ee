/**
 * A small seeded generator for faults and simulations: xoshiro128** (Blackman and
 * Vigna, "Scrambled linear pseudorandom number generators", 2018), in int32
 * arithmetic. Same seed, same numbers, on every machine. Not for secrets.
 */
export class Prng {
  private s0 = 0;
  private s1 = 0;
  private s2 = 0;
  private s3 = 0;

  /** `seed` and `stream`: any int32; different streams of one seed are independent. */
  constructor(seed: number, stream = 0) {
    let state = Math.imul(stream, 0x632be5ab) ^ seed;
    const word = () => {
      state = (state + 0x9e3779b9) | 0;
      return mix(state);
    };
    this.s0 = word();
    this.s1 = word();
    this.s2 = word();
    // The all-zero state is the one it never leaves.
    this.s3 = word() | 1;
  }

  /** The next 32 random bits as int32. */
  next(): number {
    const result = Math.imul(rotate(Math.imul(this.s1, 5), 7), 9);
    const shifted = this.s1 << 9;
    this.s2 ^= this.s0;
    this.s3 ^= this.s1;
    this.s1 ^= this.s2;
    this.s0 ^= this.s3;
    this.s2 ^= shifted;
    this.s3 = rotate(this.s3, 11);
    return result;
  }

  /** A number in [0, 1). */
  fraction(): number {
    return (this.next() >>> 0) / 0x100000000;
  }

  /** An integer in [0, bound), 1 <= bound <= 2^32. The bias is below bound / 2^32. */
  below(bound: number): number {
    return Math.floor(this.fraction() * bound);
  }

  /** True with the probability given; 0 never, 1 always. Always draws one number. */
  chance(probability: number): boolean {
    return this.fraction() < probability;
  }
}

function rotate(x: number, by: number): number {
  return (x << by) | (x >>> (32 - by));
}

/** Spreads one word over all bits (the finalizer of MurmurHash3). */
function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}
