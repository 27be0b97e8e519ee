import t from 'tap';
import { Prng } from '../../src/link/prng.js';

/** xoshiro128** as its authors define it, with integers of any size. */
function* xoshiro(state: [bigint, bigint, bigint, bigint]): Generator<number> {
  const mask = 0xffffffffn;
  const rotl = (x: bigint, k: bigint) => ((x << k) | (x >> (32n - k))) & mask;
  let [a, b, c, d] = state;
  for (;;) {
    yield Number((rotl((b * 5n) & mask, 7n) * 9n) & mask);
    const shifted = (b << 9n) & mask;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotl(d, 11n);
  }
}

t.test('the numbers are those of xoshiro128**', async (t) => {
  for (const seed of [0, 1, 7, -1, 0x7fffffff]) {
    const prng = new Prng(seed);
    const { s0, s1, s2, s3 } = prng as unknown as Record<string, number>;
    const oracle = xoshiro(
      [s0!, s1!, s2!, s3!].map((word) => BigInt(word >>> 0)) as [bigint, bigint, bigint, bigint],
    );
    for (let i = 0; i < 1000; i++) {
      const want = oracle.next().value as number;
      const got = prng.next() >>> 0;
      if (got !== want) t.fail(`seed ${seed}, number ${i}: ${got}, want ${want}`);
    }
  }
  const known = new Prng(0);
  Object.assign(known, { s0: 1, s1: 2, s2: 3, s3: 4 });
  t.equal(known.next(), 11520, 'first number from the state 1, 2, 3, 4: rotl(2 * 5, 7) * 9');
  t.equal(known.next(), 0);
});

t.test('same seed, same numbers; another seed or stream, others', async (t) => {
  const take = (prng: Prng) => Array.from({ length: 20 }, () => prng.next());
  t.same(take(new Prng(5, 1)), take(new Prng(5, 1)));
  t.notSame(take(new Prng(5, 1)), take(new Prng(5, 2)));
  t.notSame(take(new Prng(5, 1)), take(new Prng(6, 1)));
});

t.test('fractions, bounds and chances are even', async (t) => {
  const prng = new Prng(42);
  const bins = new Array<number>(10).fill(0);
  let hits = 0;
  for (let i = 0; i < 100_000; i++) {
    bins[prng.below(10)]!++;
    if (prng.chance(0.02)) hits++;
  }
  // Five standard deviations: 5 * sqrt(100000 * 0.1 * 0.9) = 474, 5 * sqrt(100000 * 0.02 * 0.98) = 221.
  t.ok(
    bins.every((bin) => Math.abs(bin - 10_000) < 474),
    bins.join(' '),
  );
  t.ok(Math.abs(hits - 2000) < 221, `${hits} of 100000 at 2 %`);
  t.equal(
    Array.from({ length: 1000 }, () => prng.chance(0)).some((hit) => hit),
    false,
  );
  t.equal(
    Array.from({ length: 1000 }, () => prng.chance(1)).every((hit) => hit),
    true,
  );
});
