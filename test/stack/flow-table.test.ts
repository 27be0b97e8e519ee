import t from 'tap';
import fc from 'fast-check';
import { getHeapStatistics } from 'node:v8';
import { FlowTable, RECORD, type TupleOwner } from '../../src/stack/flow-table.js';

type Tuple = readonly [number, number, number, number, number, number, number, number, number, number];

const KEY = Uint8Array.from({ length: 16 }, (_, i) => 7 * i);

/** IPv4 and IPv6 in turn, many sharing all but a port or an address word. */
function tupleOf(n: number): Tuple {
  const localPort = 80 + (n & 1);
  const remotePort = 1024 + ((n >>> 1) & 0x3fff);
  const host = n >>> 15;
  return (n & 2) === 0
    ? [0, 0, 0xffff, 0x0a4d0002, 0, 0, 0xffff, 0x0a4d0001 + host, localPort, remotePort]
    : [0xfd770000 | 0, 0, 0, 2, 0xfd770000 | 0, 0, host, 1, localPort, remotePort];
}

const hasher = new FlowTable(KEY, { sameTuple: () => false, hashOf: () => 0 });

/** Handles are numbers of tuples here, with or without the bit that marks a record. */
const owner: TupleOwner = {
  hashOf: (handle) => hasher.hashOf(...tupleOf(handle & ~RECORD)),
  sameTuple: (handle, ...tuple) => tupleOf(handle & ~RECORD).every((field, i) => field === tuple[i]),
};

/** The table under test and the Map it must agree with. */
class Pair {
  readonly table = new FlowTable(KEY, owner);
  readonly map = new Map<number, number>();

  hash(n: number): number {
    return this.table.hashOf(...tupleOf(n));
  }

  insert(n: number): void {
    if (this.map.has(n)) return;
    this.table.insert(this.hash(n), n);
    this.map.set(n, n);
  }

  remove(n: number): void {
    const handle = this.map.get(n);
    if (handle === undefined) return;
    this.table.remove(this.hash(n), handle);
    this.map.delete(n);
  }

  /** A connection becomes a record, or the other way round. */
  replace(n: number): void {
    const handle = this.map.get(n);
    if (handle === undefined) return;
    this.table.replace(this.hash(n), handle, handle ^ RECORD);
    this.map.set(n, handle ^ RECORD);
  }

  agrees(n: number): boolean {
    return this.table.find(...tupleOf(n)) === (this.map.get(n) ?? -1);
  }

  agreesOnAll(numbers: Iterable<number>): boolean {
    if (this.table.size !== this.map.size) return false;
    for (const n of numbers) if (!this.agrees(n)) return false;
    return true;
  }
}

/** xorshift32: cheap, and the same in every run. */
function random(seed: number): (below: number) => number {
  let x = seed;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

void t.test('agrees with a Map on short random histories', (t) => {
  const op = fc.tuple(fc.constantFrom('insert' as const, 'remove' as const, 'replace' as const), fc.nat(150));
  fc.assert(
    fc.property(fc.array(op, { maxLength: 400 }), (ops) => {
      const pair = new Pair();
      for (const [what, n] of ops) {
        pair[what](n);
        if (!pair.agrees(n)) return false;
      }
      return pair.agreesOnAll(Array.from({ length: 151 }, (_, n) => n));
    }),
    { numRuns: 200 },
  );
  t.end();
});

void t.test('agrees with a Map while it grows and shrinks, a million operations', (t) => {
  const below = random(0x1234567);
  const pair = new Pair();
  const range = 60_000;
  const phases = [
    // [operations, inserts among 8, tuples in play]
    [150_000, 7, range],
    [100_000, 4, range],
    [250_000, 1, range],
    [250_000, 4, 300],
    [150_000, 6, range],
    [200_000, 0, range],
  ] as const;
  let wrong = 0;
  for (const [operations, inserts, players] of phases) {
    for (let i = 0; i < operations; i++) {
      const n = below(players);
      if (below(8) < inserts) pair.insert(n);
      else if ((i & 3) === 0) pair.replace(n);
      else pair.remove(n);
      if (!pair.agrees(n)) wrong++;
      if ((i & 7) === 0 && !pair.agrees(below(range))) wrong++;
    }
    t.ok(pair.agreesOnAll(Array.from({ length: range }, (_, n) => n)), `${pair.map.size} entries afterwards`);
  }
  t.equal(wrong, 0);
  t.end();
});

void t.test('one long cluster across the end of the slots, at every step of a move', (t) => {
  const pair = new Pair();
  // Homes in the last two and first two of the 64 slots; doubled, they stay in heaps.
  const heaped: number[] = [];
  for (let n = 0; heaped.length < 400; n++) {
    const home = pair.hash(n) & 63;
    if (home < 2 || home > 61) heaped.push(n);
  }
  const below = random(99);
  let wrong = 0;
  for (let round = 0; round < 30; round++) {
    const most = 20 + below(380);
    for (let i = 0; i < most; i++) {
      pair.insert(heaped[below(heaped.length)]!);
      if (!pair.agreesOnAll(heaped.slice(0, 60))) wrong++;
    }
    for (let i = 0; i < 3 * most; i++) {
      pair.remove(heaped[below(heaped.length)]!);
      if (i % 5 === 0 && !pair.agreesOnAll(heaped)) wrong++;
    }
  }
  t.equal(wrong, 0);
  t.end();
});

void t.test('equal hashes are told apart by the owner', (t) => {
  const asked: number[] = [];
  const hash = hasher.hashOf(...tupleOf(0));
  const wanted = new FlowTable(KEY, {
    hashOf: () => hash,
    sameTuple: (handle) => {
      asked.push(handle);
      return handle === 3;
    },
  });
  for (const handle of [1, 2, 3, 4]) wanted.insert(hash, handle);
  t.equal(wanted.find(...tupleOf(0)), 3);
  t.same(asked, [1, 2, 3]);
  wanted.remove(hash, 3);
  t.equal(wanted.find(...tupleOf(0)), -1);
  wanted.replace(hash, 2, 3);
  t.equal(wanted.find(...tupleOf(0)), 3);
  t.end();
});

void t.test(
  'a flood costs memory only while it lasts, and at most 16 bytes an entry while slots move',
  (t) => {
    const pair = new Pair();
    const before = pair.table.memoryBytes;
    const counted = getHeapStatistics().external_memory;
    const flood = 200_000;
    for (let n = 0; n < flood; n++) {
      pair.insert(n);
      if (n > 100_000 && pair.table.memoryBytes > 16 * n) t.fail(`${pair.table.memoryBytes} bytes for ${n}`);
    }
    t.equal(pair.table.size, flood);
    const more = getHeapStatistics().external_memory - counted;
    t.ok(more < pair.table.memoryBytes / 4, `V8 counts ${more} of its ${pair.table.memoryBytes} bytes`);
    for (let n = 0; n < flood; n++) pair.remove(n);
    t.equal(pair.table.size, 0);
    t.equal(pair.table.memoryBytes, before);
    t.end();
  },
);

void t.test('over many chunks: grows, shrinks and is searched at every size', (t) => {
  const pair = new Pair();
  const most = 300_000;
  let wrong = 0;
  for (let n = 0; n < most; n++) {
    pair.insert(n);
    if (!pair.agrees(n) || !pair.agrees((n * 7919) % most)) wrong++;
  }
  t.ok(pair.agreesOnAll(pair.map.keys()));
  // Out again in another order, so that slots of all chunks empty
  for (let i = 0; i < most; i++) {
    pair.remove((i * 7919) % most);
    if (!pair.agrees((i * 104_729) % most)) wrong++;
    if (i % 60_000 === 0) t.ok(pair.agreesOnAll(pair.map.keys()), `${pair.map.size} left`);
  }
  t.equal(wrong, 0);
  t.equal(pair.table.size, 0);
  t.end();
});

void t.test('no operation moves more than a step and its cluster', (t) => {
  // An entry that moves has its hash made again.
  let asked = 0;
  const table = new FlowTable(KEY, {
    sameTuple: () => false,
    hashOf: (handle) => {
      asked++;
      return owner.hashOf(handle);
    },
  });
  let most = 0;
  let moved = 0;
  const count = (operation: () => void): void => {
    asked = 0;
    operation();
    most = Math.max(most, asked);
    moved += asked;
  };
  for (let n = 0; n < 200_000; n++) count(() => table.insert(owner.hashOf(n), n));
  t.ok(moved > 200_000, `${moved} entries moved while it grew`);
  for (let n = 0; n < 200_000; n++) count(() => table.remove(owner.hashOf(n), n));
  t.ok(most < 1000, `${most} at once`);
  t.end();
});

void t.test('removing or replacing what is not there is a mistake', (t) => {
  const pair = new Pair();
  pair.insert(1);
  t.throws(() => pair.table.remove(pair.hash(2), 2), { name: 'RangeError' });
  t.throws(() => pair.table.remove(pair.hash(1), 2), { name: 'RangeError' });
  t.throws(() => pair.table.replace(pair.hash(2), 2, 3), { name: 'RangeError' });
  t.equal(pair.table.size, 1);
  t.end();
});
