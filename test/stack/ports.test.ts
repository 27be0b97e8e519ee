import t from 'tap';
import { PortPicker } from '../../src/stack/ports.js';
import { KeyedRandom } from '../../src/stack/random.js';

const seed = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
const picker = (fill = 1): PortPicker => new PortPicker(new KeyedRandom(seed(fill)));
const always = (): boolean => true;

/** Takes ports until there are none. */
function exhaust(ports: PortPicker, low: number, high: number, offset: number): number[] {
  const taken = new Set<number>();
  for (;;) {
    const port = ports.pick(low, high, offset, (p) => !taken.has(p));
    if (port < 0) return [...taken];
    taken.add(port);
  }
}

void t.test('every port of the range is found, each once; then none', (t) => {
  for (const [low, high] of [
    [32768, 60999],
    [1024, 1033],
    [1025, 1033],
    [40000, 40001],
    [65535, 65535],
    [1, 1],
  ] as const) {
    const ports = exhaust(picker(), low, high, 0x1234567);
    t.equal(ports.length, high - low + 1, `${low}..${high}`);
    t.same(
      ports.sort((a, b) => a - b),
      Array.from({ length: high - low + 1 }, (_, i) => low + i),
    );
  }
  t.end();
});

void t.test('first the parity of the low end, then the other', (t) => {
  for (const low of [32768, 32769]) {
    const parities = exhaust(picker(), low, low + 199, -77).map((port) => (port - low) & 1);
    t.same(parities, [...new Array<number>(100).fill(0), ...new Array<number>(100).fill(1)]);
  }
  t.end();
});

void t.test('-1: nothing is free, or the range is empty', (t) => {
  let asked = 0;
  t.equal(
    picker().pick(5000, 5099, 3, () => {
      asked++;
      return false;
    }),
    -1,
  );
  t.equal(asked, 100, 'each port was asked for once');
  t.equal(picker().pick(6000, 5000, 3, always), -1);
  t.end();
});

void t.test('a single free port is found wherever it lies', (t) => {
  const ports = picker();
  for (let only = 2000; only < 2100; only++) {
    t.equal(
      ports.pick(2000, 2099, only * 7919, (p) => p === only),
      only,
    );
  }
  t.end();
});

void t.test('one destination: successive ports differ, move on in small steps and come back late', (t) => {
  const ports = picker(5);
  const span = 28_232;
  const seen: number[] = [];
  for (let i = 0; i < 1000; i++) seen.push(ports.pick(32768, 60999, 0xabcdef, always));
  t.equal(new Set(seen).size, 1000, 'no port twice within a thousand');
  const steps = seen.slice(1).map((port, i) => (port - seen[i]! + span) % span);
  t.ok(
    steps.every((step) => step >= 2 && step <= 16 && step % 2 === 0),
    'a few ports of the same parity',
  );
  t.ok(new Set(steps).size > 4, 'not a constant step');
  t.end();
});

void t.test('over destinations, ports are spread over the whole range', (t) => {
  const ports = picker(6);
  const hash = new KeyedRandom(seed(7));
  const buckets = new Array<number>(16).fill(0);
  const draws = 16_000;
  let neighbours = 0;
  let last = 0;
  for (let i = 0; i < draws; i++) {
    const port = ports.pick(32768, 60999, hash.next(), always);
    buckets[Math.floor(((port - 32768) * 16) / 28_232)]!++;
    if (Math.abs(port - last) <= 2) neighbours++;
    last = port;
  }
  // 1000 a bucket, standard deviation 31; 2 of 14,116 even ports would be a neighbour by chance.
  t.ok(
    buckets.every((n) => n > 850 && n < 1150),
    buckets.join(' '),
  );
  t.ok(neighbours < 30, `${neighbours} neighbours`);
  t.end();
});

void t.test('another secret, other ports', (t) => {
  const draw = (fill: number): number[] =>
    Array.from({ length: 20 }, (_, i) => picker(fill).pick(32768, 60999, i * 0x9e3779b1, always));
  t.notSame(draw(1), draw(2));
  t.same(draw(1), draw(1));
  t.end();
});
