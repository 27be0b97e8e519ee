import t from 'tap';
import { KeyedRandom, deriveKey } from '../../src/stack/random.js';

const seed = (fill: number): Uint8Array => Uint8Array.from({ length: 32 }, (_, i) => fill + i);

void t.test('same seed, same run; another seed, another run', (t) => {
  const draw = (from: Uint8Array): number[] => {
    const random = new KeyedRandom(from);
    return Array.from({ length: 100 }, () => random.next());
  };
  t.same(draw(seed(1)), draw(seed(1)));
  t.notSame(draw(seed(1)), draw(seed(2)));
  const all = draw(seed(1));
  t.equal(new Set(all).size, all.length);
  t.ok(all.every((x) => x === (x | 0)));
  t.ok(all.some((x) => x < 0) && all.some((x) => x > 0));
  t.end();
});

void t.test('either half of the seed changes every key, and each label has its own', (t) => {
  const keys = new Set<string>();
  for (let byte = 0; byte < 32; byte++) {
    const other = seed(9);
    other[byte]! ^= 1;
    keys.add(Buffer.from(deriveKey(other, 1)).toString('hex'));
  }
  for (let label = 0; label < 8; label++) keys.add(Buffer.from(deriveKey(seed(9), label)).toString('hex'));
  t.equal(keys.size, 40);
  for (const key of keys) t.not(key.slice(0, 16), key.slice(16), 'the halves differ');
  t.same(deriveKey(seed(9), 3), deriveKey(seed(9), 3));
  t.end();
});

void t.test('below(n) is even over [0, n)', (t) => {
  const random = new KeyedRandom(seed(3));
  const counts = new Array<number>(10).fill(0);
  for (let i = 0; i < 20_000; i++) counts[random.below(10)]!++;
  // 2000 each expected, standard deviation 42
  t.ok(
    counts.every((n) => n > 1800 && n < 2200),
    counts.join(' '),
  );
  t.equal(random.below(1), 0);
  t.end();
});
