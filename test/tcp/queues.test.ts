/** The queues and boards of a connection against naive oracles: arrays and sets of sequence numbers. */
import fc from 'fast-check';
import t from 'tap';
import { Chunks } from '../../src/tcp/chunks.js';
import { Loans } from '../../src/tcp/loans.js';
import { PacketRing } from '../../src/wire/ring.js';
import { ReceiveQueue } from '../../src/tcp/receive-queue.js';
import { DeliveryRate } from '../../src/tcp/delivery.js';
import { FULL, Reassembly } from '../../src/tcp/reassembly.js';
import { RttEstimator } from '../../src/tcp/rto.js';
import { SendQueue } from '../../src/tcp/send-queue.js';
import { LOST, RESENT, SACKED, SENT, Sent, sentAfter } from '../../src/tcp/sent.js';

/** Sequence numbers start just below the wrap. */
const BASE = -5000;

t.test('send queue: bytes copied, lent and referred to by packets are those of an array', (t) => {
  const step = fc.record({
    add: fc.integer({ min: 0, max: 90_000 }),
    lends: fc.boolean(),
    whole: fc.boolean(),
    from: fc.double({ min: 0, max: 1, noNaN: true }),
    drop: fc.double({ min: 0, max: 1, noNaN: true }),
    leaves: fc.boolean(),
    owns: fc.nat(4),
  });
  const SLOT = 66_000;
  let referring = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      const chunks = new Chunks();
      const tx = new PacketRing(64, SLOT, true);
      const queue = new SendQueue();
      queue.chunks = chunks;
      queue.tx = tx;
      const written = Buffer.alloc(25 * 90_000);
      let [una, end] = [0, 0];
      const expected: Buffer[] = [];
      const arrived = (): boolean => {
        tx.own();
        const right = expected.every((text, i) =>
          text.equals(tx.bytes.subarray(tx.offsetOf(i), tx.offsetOf(i) + tx.lengthOf(i))),
        );
        tx.clear();
        expected.length = 0;
        return right && tx.texts.every((text) => text === null) && tx.referring === 0;
      };
      const lent: Uint8Array[] = [];
      for (const { add, lends, whole, from, drop, leaves, owns } of steps) {
        const bytes = new Uint8Array(add + 20);
        for (let i = 0; i < add; i++) bytes[10 + i] = written[end + i] = (end + i) % 251;
        if (lends) {
          queue.lend(bytes, 10, add);
          lent.push(bytes);
        } else {
          queue.append(bytes, 10, add);
          bytes.fill(255);
        }
        end += add;
        const at = Math.floor(from * (end - una));
        const count = whole ? Math.min(65_000, end - una - at) : Math.min(1448, end - una - at);
        if (count > 0) {
          queue.emit(at, count, tx, tx.tailOffset());
          tx.push(count, 0);
          expected.push(written.subarray(una + at, una + at + count));
        }
        referring += tx.referring;
        if (leaves && !arrived()) return false;
        const gone = Math.floor((end - una) * drop);
        queue.release(gone);
        una += gone;
        if (queue.length !== end - una) return false;
        if (gone > 0 && tx.referring > 0) return false;
        if (owns === 0) {
          queue.own();
          for (const back of lent.splice(0)) back.fill(255);
        }
        // Somebody else has such memory meanwhile, and writes on it.
        const other = chunks.take(65_536);
        other.fill(255);
        chunks.give(other);
      }
      if (expected.length === 64 || !arrived()) return false;
      const rest = Buffer.alloc(end - una);
      queue.copyTo(0, end - una, rest, 0);
      if (!rest.equals(written.subarray(una, end))) return false;
      queue.clear();
      return queue.length === 0;
    }),
    { numRuns: 30 },
  );
  t.ok(referring > 10, `${referring} packets referred to the queue`);
  t.end();
});

t.test('send queue: what is lent is not copied, a little of it is', (t) => {
  const tx = new PacketRing(4, 66_000, true);
  const queue = new SendQueue();
  const page = new Uint8Array(65_536).fill(1);
  queue.lend(page, 0, 65_536);
  queue.emit(0, 65_000, tx, 0);
  t.equal(tx.texts[0], page);
  page[100] = 2;
  const out = new Uint8Array(200);
  queue.copyTo(0, 200, out, 0);
  t.equal(out[100], 2);
  queue.release(65_536);
  queue.lend(page, 0, 1000);
  page[100] = 3;
  queue.copyTo(0, 200, out, 0);
  t.equal(out[100], 2);
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

t.test(
  'receive queue: peeked at or read, with memory used again: the same bytes, and views that were read stay',
  (t) => {
    const step = fc.record({
      add: fc.integer({ min: 0, max: 200_000 }),
      take: fc.integer({ min: 0, max: 200_000 }),
      keeps: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const chunks = new Chunks();
        const queue = new ReceiveQueue();
        queue.chunks = chunks;
        const [written, got]: [Buffer[], Uint8Array[]] = [[], []];
        let next = 0;
        const use = (most: number, keeps: boolean): boolean => {
          const view = keeps ? queue.read(most) : queue.peek(most);
          if (view === null) return false;
          got.push(keeps ? view : view.slice());
          if (!keeps) queue.consume(view.length);
          return true;
        };
        for (const { add, take, keeps } of steps) {
          const bytes = Buffer.from(Uint8Array.from({ length: add }, () => next++ % 251));
          queue.append(bytes, 0, add);
          written.push(bytes);
          use(take, keeps);
          // Somebody else has such memory meanwhile, and writes on it.
          const other = chunks.take(65_536);
          other.fill(255);
          chunks.give(other);
        }
        while (use(1 << 20, false));
        return queue.length === 0 && Buffer.concat(got).equals(Buffer.concat(written));
      }),
    );
    t.end();
  },
);

t.test(
  'receive queue: text in the packets of a batch is read where it is, what is left outlives them',
  (t) => {
    const RING = 40_000;
    const batch = fc.record({
      texts: fc.array(fc.record({ whose: fc.nat(1), length: fc.integer({ min: 1, max: 3000 }) }), {
        maxLength: 12,
      }),
      reads: fc.array(fc.record({ whose: fc.nat(1), most: fc.nat(9000), how: fc.nat(3) }), { maxLength: 8 }),
    });
    let shown = 0;
    fc.assert(
      fc.property(fc.array(batch, { maxLength: 12 }), (batches) => {
        const loans = new Loans();
        const ring = Buffer.alloc(RING);
        const ends = [0, 1].map(() => {
          const queue = new ReceiveQueue();
          queue.loans = loans;
          return { queue, written: [] as Buffer[], got: [] as Uint8Array[] };
        });
        let next = 0;
        for (const { texts, reads } of batches) {
          loans.open = true;
          let at = 0;
          for (const { whose, length } of texts) {
            const { queue, written } = ends[whose]!;
            for (let i = 0; i < length; i++) ring[at + i] = next++ % 251;
            written.push(Buffer.from(ring.subarray(at, at + length)));
            queue.take(ring, at, length);
            at += length + 40;
          }
          for (const { whose, most, how } of reads) {
            const { queue, got } = ends[whose]!;
            // As a filled hole comes, from other memory
            if (how === 0) {
              const other = Buffer.from(Uint8Array.from({ length: 10 }, () => next++ % 251));
              ends[whose]!.written.push(other);
              queue.append(other, 0, 10);
            } else if (how === 1) {
              const view = queue.read(most);
              if (view !== null) got.push(view);
            } else if (how === 2) {
              const { length } = queue;
              const octets = [0, length >> 1, length - 1, length].map((place) => queue.at(place));
              const view = queue.peek(most);
              if (octets[3] !== -1 || (view !== null && view[0] !== octets[0])) return false;
            } else {
              const view = queue.peek(most);
              if (view === null) continue;
              if (view.buffer === ring.buffer && view.byteOffset >= ring.byteOffset) shown++;
              got.push(Uint8Array.from(view));
              queue.consume(view.length);
            }
          }
          loans.settle();
          // The next batch
          ring.fill(255);
        }
        for (const { queue, got } of ends)
          for (let view = queue.read(1 << 20); view !== null; view = queue.read(1 << 20)) got.push(view);
        return ends.every(({ written, got }) => Buffer.concat(got).equals(Buffer.concat(written)));
      }),
      { numRuns: 300 },
    );
    t.ok(shown > 100, `${shown} texts were read in their packets`);
    t.end();
  },
);

t.test('receive queue: bytes are done with whether they were looked at or not', (t) => {
  const loans = new Loans();
  for (const open of [false, true]) {
    const queue = new ReceiveQueue();
    queue.loans = loans;
    loans.open = open;
    const packets = Uint8Array.from({ length: 9000 }, (_, i) => i % 251);
    for (let i = 0; i < 9000; i += 3000) queue.take(packets, i, 3000);
    queue.consume(7000);
    t.equal(queue.length, 2000);
    t.equal(queue.peek(1)![0], 7000 % 251);
    loans.settle();
    t.equal(queue.peek(1)![0], 7000 % 251);
  }
  t.end();
});

t.test('send queue: memory that is used again holds what was written', (t) => {
  const chunks = new Chunks();
  const queues = [new SendQueue(), new SendQueue()];
  for (const queue of queues) queue.chunks = chunks;
  const out = new Uint8Array(300_000);
  for (let round = 1; round < 20; round++) {
    const size = (round * 7919) % 300_000;
    for (const [i, queue] of queues.entries()) queue.append(new Uint8Array(size).fill(round + i), 0, size);
    for (const [i, queue] of queues.entries()) {
      queue.copyTo(0, size, out, 0);
      t.ok(out.subarray(0, size).every((byte) => byte === round + i));
      queue.release(size);
    }
  }
  t.ok(chunks.take(65_536)[0] !== 0, 'a block came back');
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

/** One byte of the oracle: what became of it, when it was sent last, as which sending, whether it was ever resent. */
interface SentByte {
  fate: number;
  time: number;
  sending: number;
  ever: boolean;
}

const event = fc.record({
  what: fc.integer({ min: 0, max: 5 }),
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  length: fc.integer({ min: 1, max: 3000 }),
  pause: fc.integer({ min: 0, max: 2 }),
});

t.test('R6675-1, R6675-4, R8985-6: what is in flight, against one entry a byte', (t) => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      const sent = new Sent(new DeliveryRate());
      const bytes = new Map<number, SentByte>();
      let una = 1;
      let nxt = 1;
      let now = 0;
      for (const [sending, { what, at, length, pause }] of events.entries()) {
        now += pause;
        sent.beginAck();
        const from = una + Math.floor(at * (nxt - una));
        const to = Math.min(nxt, from + length);
        let delivered = 0;
        if (what <= 1) {
          sent.push((BASE + nxt) | 0, (BASE + nxt + length) | 0, now, 1000);
          for (let i = 0; i < length; i++) bytes.set(nxt++, { fate: SENT, time: now, sending, ever: false });
        } else if (nxt === una) continue;
        else if (what === 2) {
          sent.acknowledge((BASE + to) | 0);
          for (; una < to; una++) {
            if (bytes.get(una)!.fate !== SACKED) delivered++;
            bytes.delete(una);
          }
        } else if (what === 3) {
          sent.sack((BASE + from) | 0, (BASE + to) | 0);
          for (let i = from; i < to; i++) {
            if (bytes.get(i)!.fate !== SACKED) delivered++;
            bytes.get(i)!.fate = SACKED;
          }
        } else if (what === 4) {
          const i = Math.min(sent.count - 1, Math.floor(at * sent.count));
          if (sent.fateOf(i) === SACKED) continue;
          for (let n = (sent.startOf(i) - BASE) | 0; n < ((sent.endOf(i) - BASE) | 0); n++)
            bytes.get(n)!.fate = LOST;
          sent.lose(i);
        } else {
          const i = sent.firstLost();
          if (i < 0) continue;
          const start = (sent.startOf(i) - BASE) | 0;
          const end = Math.min((sent.runEnd(i) - BASE) | 0, start + length);
          sent.resent((BASE + start) | 0, (BASE + end) | 0, now, true);
          for (let n = start; n < end; n++) bytes.set(n, { fate: RESENT, time: now, sending, ever: true });
        }
        if (what === 2 || what === 3) if (sent.delivered !== delivered) return false;
        if (!agrees(sent, bytes)) return false;
      }
      return true;
    }),
    { numRuns: 300 },
  );
  t.end();
});

function agrees(sent: Sent, bytes: ReadonlyMap<number, SentByte>): boolean {
  const all = [...bytes.values()];
  const of = (fate: number): number => all.filter((byte) => byte.fate === fate).length;
  if (sent.sacked !== of(SACKED) || sent.lost !== of(LOST) || sent.pipe !== of(SENT) + of(RESENT))
    return false;
  let total = 0;
  for (let i = 0; i < sent.count; i++) {
    for (let seq = sent.startOf(i); seq !== sent.endOf(i); seq = (seq + 1) | 0) {
      const byte = bytes.get((seq - BASE) | 0);
      if (byte?.fate !== sent.fateOf(i)) return false;
      if (byte.fate !== SACKED && (byte.time !== sent.timeOf(i) || byte.ever !== (sent.markOf(i) & 4) > 0))
        return false;
      total++;
    }
  }
  return total === all.length && ordered(sent, bytes);
}

/** Of any two records the one whose end was sent later counts as sent after the other. */
function ordered(sent: Sent, bytes: ReadonlyMap<number, SentByte>): boolean {
  const records = Array.from({ length: sent.count }, (_, i) => i).filter((i) => sent.fateOf(i) !== SACKED);
  const sendingOf = (i: number): number => bytes.get((sent.endOf(i) - 1 - BASE) | 0)!.sending;
  return records.every((i) =>
    records.every((j) => {
      const later = i > j ? sendingOf(i) >= sendingOf(j) : sendingOf(i) > sendingOf(j);
      return i === j || sentAfter(sent.turnOf(i), sent.endOf(i), sent.turnOf(j), sent.endOf(j)) === later;
    }),
  );
}

t.test('R6675-3: what counts as lost', (t) => {
  const sent = new Sent(new DeliveryRate());
  sent.push(0, 20_000, 0, 1000);
  sent.sack(2000, 4000);
  t.equal(sent.lostEdge(1000), 0, 'two segments above are not enough');
  sent.sack(4000, 4001);
  t.equal(sent.lostEdge(1000), 2000, 'a byte more is');
  const three = new Sent(new DeliveryRate());
  three.push(0, 20_000, 0, 1000);
  for (const left of [2000, 5000, 7000]) three.sack(left, left + 1);
  t.equal(three.lostEdge(1000), 2000, 'three separate ranges are');
  t.end();
});

t.test('bounded: however small the segments and the holes, at most 4097 records', (t) => {
  const sent = new Sent(new DeliveryRate());
  for (let i = 0; i < 20_000; i++) sent.push(i * 2, i * 2 + 2, i, 1000);
  for (let i = 0; i < 20_000; i += 1) sent.sack(i * 2 + 1, i * 2 + 2);
  t.ok(sent.count <= 4097, `${sent.count} records`);
  t.equal(sent.end, 40_000);
  sent.acknowledge(40_000);
  t.equal(sent.pipe, 0);
  t.equal(sent.sacked, 0);
  t.end();
});

t.test('RTO: RFC 6298 with its own numbers', (t) => {
  const rtt = new RttEstimator();
  rtt.reset(1000, 1000, 60_000, false);
  t.equal(rtt.rto, 1000);
  rtt.sample(500, 0, 0);
  t.equal(rtt.rto, 500 + 4 * 250, 'R6298-4');
  rtt.sample(700, 0, 0);
  // RTTVAR = 0.75*250 + 0.25*200 = 237.5, SRTT = 500 + 200/8 = 525
  t.equal(rtt.srtt, 525);
  t.ok(Math.abs(rtt.rto - (525 + 950)) <= 2, 'R6298-5');
  for (let i = 0; i < 20; i++) rtt.backoff++;
  t.equal(rtt.rto, 60_000, 'R6298-17: bounded by the maximum');
  for (let i = 0; i < 100; i++) rtt.sample(10, 0, 0);
  t.equal(rtt.rto, 1000, 'R6298-7: rounded up to the minimum');
  t.end();
});
