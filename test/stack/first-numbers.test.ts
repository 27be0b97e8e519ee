import t from 'tap';
import { FirstNumbers } from '../../src/stack/first-numbers.js';
import { KeyedRandom } from '../../src/stack/random.js';
import { Settings } from '../../src/stack/settings.js';

type Ten = [number, number, number, number, number, number, number, number, number, number];
const tuple = (localPort: number, remotePort: number): Ten => [
  ...([0, 0, 0xffff, 0x0a4d0002, 0, 0, 0xffff, 0x0a4d0001] as const),
  localPort,
  remotePort,
];

const NO_CLOCK = 4;
const GLOBAL = 3;
const [NONE, TUPLE, HOSTS, RANDOM] = [0, 1, 2, 3];

function numbers(isn: number, stampOffset: number): FirstNumbers {
  const settings = new Settings();
  settings.isn = isn;
  settings.stampOffset = stampOffset;
  const seed = new Uint8Array(32).fill(7);
  return new FirstNumbers(seed, { now: 1000 }, settings, new KeyedRandom(seed));
}

void t.test('SHLD-1, R7323-53: one hash makes ISN and offset, which tell nothing of each other', (t) => {
  const n = numbers(NO_CLOCK, TUPLE);
  const isns = new Set<number>();
  const offsets = new Set<number>();
  const same = new Array<number>(32).fill(0);
  for (let port = 1024; port < 5024; port++) {
    const isn = n.of(...tuple(80, port)).isn();
    const offset = n.offset();
    isns.add(isn);
    offsets.add(offset);
    for (let bit = 0; bit < 32; bit++) if ((((isn ^ offset) >>> bit) & 1) === 0) same[bit]!++;
  }
  t.ok(isns.size > 3995 && offsets.size > 3995);
  // 2000 expected, standard deviation 32
  t.ok(
    same.every((count) => count > 1840 && count < 2160),
    same.join(' '),
  );
  t.end();
});

void t.test('R6191-8: the offset is what the record will ask for again', (t) => {
  for (const kind of [TUPLE, HOSTS] as const) {
    const n = numbers(0, kind);
    const offset = n.of(...tuple(80, 5000)).offset();
    t.not(offset, 0);
    t.equal(n.constant(kind === HOSTS, ...tuple(80, 5000)), offset);
    t.equal(n.of(...tuple(80, 5000)).offset(), offset);
    t.equal(n.of(...tuple(443, 6000)).offset() === offset, kind === HOSTS, 'ports count for the tuple');
  }
  t.equal(
    numbers(0, NONE!)
      .of(...tuple(80, 5000))
      .offset(),
    0,
  );
  const random = numbers(0, RANDOM!).of(...tuple(80, 5000));
  t.not(random.offset(), random.offset());
  t.end();
});

void t.test('a common counter moves for each connection, not for each look', (t) => {
  const n = numbers(GLOBAL, TUPLE);
  const first = n.of(...tuple(80, 5000)).isn();
  n.of(...tuple(80, 5001));
  n.of(...tuple(80, 5001));
  t.equal((n.isn() - first) | 0, 64_000);
  t.end();
});
