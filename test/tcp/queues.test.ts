/** The queues and boards of a connection against naive oracles: arrays and sets of sequence numbers. */
import fc from 'fast-check';
import t from 'tap';
import { ReceiveQueue } from '../../src/tcp/receive-queue.js';
import { FULL, Reassembly } from '../../src/tcp/reassembly.js';
import { RttEstimator } from '../../src/tcp/rto.js';
import { Scoreboard } from '../../src/tcp/scoreboard.js';
import { SendQueue } from '../../src/tcp/send-queue.js';

/** Sequence numbers start just below the wrap. */
const BASE = -5000;

t.test('send queue: a ring is an array', (t) => {
  const step = fc.record({
    add: fc.integer({ min: 0, max: 9000 }),
    drop: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const queue = new SendQueue();
      let oracle: number[] = [];
      let next = 0;
      for (const { add, drop } of steps) {
        const bytes = Uint8Array.from({ length: add }, () => next++ & 255);
        queue.append(bytes);
        oracle.push(...bytes);
        const out = new Uint8Array(oracle.length + 2);
        const from = Math.floor(oracle.length * drop * 0.5);
        queue.copyTo(from, oracle.length - from, out, 1);
        if (!Buffer.from(out.subarray(1, 1 + oracle.length - from)).equals(Buffer.from(oracle.slice(from))))
          return false;
        const gone = Math.floor(oracle.length * drop);
        queue.release(gone);
        oracle = oracle.slice(gone);
        if (queue.length !== oracle.length) return false;
      }
      return true;
    }),
  );
  t.end();
});

t.test('receive queue: what went in comes out, and views stay as they were', (t) => {
  const step = fc.record({
    add: fc.integer({ min: 0, max: 70_000 }),
    read: fc.integer({ min: 0, max: 70_000 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      const queue = new ReceiveQueue();
      const written: Buffer[] = [];
      const views: Uint8Array[] = [];
      let next = 0;
      for (const { add, read } of steps) {
        const bytes = Buffer.from(Array.from({ length: add + 3 }, () => next++ & 255));
        queue.append(bytes, 2, add);
        written.push(bytes.subarray(2, 2 + add));
        const view = queue.read(read);
        if (view !== null) views.push(view);
      }
      for (let view = queue.read(1 << 20); view !== null; view = queue.read(1 << 20)) views.push(view);
      return queue.length === 0 && Buffer.concat(views).equals(Buffer.concat(written));
    }),
  );
  t.end();
});

const piece = fc.record({
  at: fc.integer({ min: 1, max: 60_000 }),
  length: fc.integer({ min: 1, max: 9000 }),
});

t.test('reassembly: ranges are a set of numbers', (t) => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), fc.integer({ min: 1, max: 12 }), (pieces, most) => {
      const holes = new Reassembly();
      const there = new Set<number>();
      for (const { at, length } of pieces) {
        const bytes = Uint8Array.from({ length }, (_, i) => (at + i) % 251);
        const before = ranges(there);
        const result = holes.store((BASE + at) | 0, bytes, 0, length, most);
        if (result === FULL) {
          if (before.length < most) return false;
          continue;
        }
        for (let i = 0; i < length; i++) there.add(at + i);
        const expected = ranges(there);
        if (holes.ranges !== expected.length || holes.length !== there.size) return false;
        for (const [i, [left, right]] of expected.entries()) {
          if (holes.left(i) !== ((BASE + left) | 0) || holes.right(i) !== ((BASE + right) | 0)) return false;
        }
      }
      return drains(holes, there);
    }),
    { numRuns: 150 },
  );
  t.end();
});

function ranges(there: ReadonlySet<number>): [number, number][] {
  const sorted = [...there].sort((a, b) => a - b);
  const found: [number, number][] = [];
  for (const n of sorted) {
    const last = found.at(-1);
    if (last !== undefined && last[1] === n) last[1] = n + 1;
    else found.push([n, n + 1]);
  }
  return found;
}

/** From each range's left edge exactly its bytes come out. */
function drains(holes: Reassembly, there: ReadonlySet<number>): boolean {
  for (const [left, right] of ranges(there)) {
    const queue = new ReceiveQueue();
    if (holes.drain((BASE + left) | 0, queue) !== ((BASE + right) | 0)) return false;
    for (let at = left; at < right;) {
      const view = queue.read(1 << 20);
      if (view === null) return false;
      for (const byte of view) if (byte !== at++ % 251) return false;
    }
  }
  return holes.length === 0 && holes.ranges === 0;
}

t.test('scoreboard: acknowledged numbers are a set', (t) => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 25 }), fc.integer({ min: 0, max: 69_000 }), (pieces, una) => {
      const board = new Scoreboard();
      const there = new Set<number>();
      const nxt = (BASE + 70_000) | 0;
      for (const { at, length } of pieces) {
        const before = there.size;
        for (let i = 0; i < length; i++) there.add(at + i);
        if (board.add((BASE + at) | 0, (BASE + at + length) | 0, BASE, nxt) !== there.size > before)
          return false;
      }
      board.advance((BASE + una) | 0);
      for (const n of there) if (n < una) there.delete(n);
      if (board.sacked !== there.size || board.ranges !== ranges(there).length) return false;
      let hole = una;
      while (there.has(hole)) hole++;
      if (board.nextHole((BASE + una) | 0) !== ((BASE + hole) | 0)) return false;
      const limit = una + 10_000;
      return board.sackedBelow((BASE + limit) | 0) === [...there].filter((n) => n < limit).length;
    }),
    { numRuns: 150 },
  );
  t.end();
});

t.test('scoreboard: what counts as lost (RFC 6675 IsLost)', (t) => {
  const board = new Scoreboard();
  board.add(2000, 3000, 0, 100_000);
  t.equal(board.lostEdge(0, 1000), 0, 'one segment above is not enough');
  board.add(3000, 4001, 0, 100_000);
  t.equal(board.lostEdge(0, 1000), 2000, 'more than two segments are');
  const three = new Scoreboard();
  for (const left of [2000, 4000, 6000]) three.add(left, left + 10, 0, 100_000);
  t.equal(three.lostEdge(0, 1000), 2000, 'three separate ranges are');
  t.notOk(three.add(50, 40, 0, 100), 'turned round');
  t.notOk(three.add(90_000, 100_001, 0, 100_000), 'never sent');
  t.end();
});

t.test('RTO: RFC 6298 with its own numbers', (t) => {
  const rtt = new RttEstimator();
  rtt.reset(1000, 1000, 60_000);
  t.equal(rtt.rto, 1000);
  rtt.sample(500);
  t.equal(rtt.rto, 500 + 4 * 250, 'R6298-4');
  rtt.sample(700);
  // RTTVAR = 0.75*250 + 0.25*200 = 237.5, SRTT = 500 + 200/8 = 525
  t.equal(rtt.srtt, 525);
  t.ok(Math.abs(rtt.rto - (525 + 950)) <= 2, 'R6298-5');
  for (let i = 0; i < 20; i++) rtt.backoff++;
  t.equal(rtt.rto, 60_000, 'R6298-17: bounded by the maximum');
  for (let i = 0; i < 100; i++) rtt.sample(10);
  t.equal(rtt.rto, 1000, 'R6298-7: rounded up to the minimum');
  t.end();
});
