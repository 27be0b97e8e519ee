import t from 'tap';
import fc from 'fast-check';
import { PacketRing } from '../../src/wire/ring.js';
import { diff } from '../../src/seqnum.js';
import { ManualClock } from '../../src/time/clock.js';
import { FaultsLink } from '../../src/link/faults.js';
import type { FaultOptions } from '../../src/link/faults.js';
import { memoryLink } from '../../src/link/memory.js';
import type { Link } from '../../src/link/link.js';
import { packet, put, received, send } from './packets.js';

/** A faulty end, a clean end, and the clock; near the wrap of the clock. */
function wire(options: Partial<FaultOptions>, mtu = 1500) {
  const clock = new ManualClock(0x7ffffff0);
  const [near, far] = memoryLink({ capacity: 4096, mtu });
  return { clock, faulty: new FaultsLink(near, clock, options), far };
}

/** Packets numbered in their first two bytes. */
function numbered(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => Uint8Array.of(i >> 8, i & 0xff, ...packet(i, 38)));
}
const numberOf = (bytes: Uint8Array) => (bytes[0]! << 8) | bytes[1]!;

t.test('without faults everything passes at once, unchanged and in order, both ways', async (t) => {
  const { faulty, far, clock } = wire({});
  const packets = numbered(1000);
  t.equal(send(faulty, ...packets), 1000);
  t.same(received(far), packets);
  send(far, ...packets);
  t.same(received(faulty), packets);
  t.equal(faulty.nextDeadline(clock.now()), -1);
  t.equal(faulty.counts.in.passed, 1000);
  t.equal(faulty.counts.out.passed, 1000);
});

t.test('loss: about the rate asked for, counted, and the rest in order', async (t) => {
  const { faulty, far } = wire({ loss: 0.1, seed: 3 });
  send(faulty, ...numbered(4000));
  const numbers = received(far).map(numberOf);
  t.equal(numbers.length + faulty.counts.out.lost, 4000);
  // Five standard deviations of a binomial: 5 * sqrt(4000 * 0.1 * 0.9) = 95.
  t.ok(Math.abs(faulty.counts.out.lost - 400) < 95, `${faulty.counts.out.lost} lost of 4000 at 10 %`);
  t.same(
    numbers,
    [...numbers].sort((a, b) => a - b),
  );
});

t.test('duplicate: every copy equals its original and follows it', async (t) => {
  const { faulty, far } = wire({ duplicate: 1 });
  const packets = numbered(100);
  send(faulty, ...packets);
  t.same(
    received(far),
    packets.flatMap((bytes) => [bytes, bytes]),
  );
  t.equal(faulty.counts.out.duplicated, 100);
});

t.test('corrupt: exactly one byte differs, and the sender keeps its own bytes', async (t) => {
  const { faulty, far } = wire({ corrupt: 1 });
  const packets = numbered(200);
  const places = new Set<number>();
  for (const bytes of packets) {
    const ring = new PacketRing(1, 64);
    put(ring, bytes);
    faulty.transmit(ring);
    t.same(ring.bytes.slice(0, bytes.length), bytes);
    const [got] = received(far);
    const changed = [...bytes.keys()].filter((i) => bytes[i] !== got![i]);
    t.equal(changed.length, 1);
    t.equal(got!.length, bytes.length);
    places.add(changed[0]!);
  }
  t.ok(places.size > 25, `${places.size} of 40 places met in 200 packets`);
});

t.test('delay: not a millisecond early, and nextDeadline says when', async (t) => {
  const { faulty, far, clock } = wire({ delay: 30 });
  send(faulty, packet(1, 40));
  send(far, packet(2, 40));
  t.same(received(faulty), []);
  t.same(received(far), []);
  clock.advance(10);
  send(faulty, packet(3, 40));
  const sleep = faulty.nextDeadline(clock.now());
  t.ok(sleep > 0 && sleep <= 20, `${sleep}`);
  clock.advance(19);
  t.same(received(faulty), []);
  faulty.poll(clock.now());
  t.same(received(far), []);
  clock.advance(1);
  t.equal(faulty.nextDeadline(clock.now()), 0);
  t.same(received(faulty), [packet(2, 40)], 'receive also moves what is due outwards');
  t.same(received(far), [packet(1, 40)]);
  clock.advance(10);
  faulty.poll(clock.now());
  t.same(received(far), [packet(3, 40)]);
  t.equal(faulty.nextDeadline(clock.now()), -1);
});

t.test('poll calls the listener when a delayed incoming packet is due', async (t) => {
  const { faulty, far, clock } = wire({ delay: 5 });
  let calls = 0;
  faulty.onReadable(() => calls++);
  send(far, packet(1, 40));
  t.equal(calls, 1, 'the inner link calls');
  t.same(received(faulty), []);
  faulty.poll(clock.now());
  t.equal(calls, 1);
  clock.advance(5);
  faulty.poll(clock.now());
  t.equal(calls, 2);
  t.same(received(faulty), [packet(1, 40)]);
});

t.test('jitter stays within its bounds and reaches both', async (t) => {
  const { faulty, far, clock } = wire({ delay: 20, jitter: 3 });
  const start = clock.now();
  send(faulty, ...numbered(500));
  const delays = new Map<number, number>();
  for (; delays.size < 500 && diff(clock.now(), start) < 100; clock.advance(1)) {
    faulty.poll(clock.now());
    for (const bytes of received(far)) delays.set(numberOf(bytes), diff(clock.now(), start));
  }
  t.same(
    [...new Set(delays.values())].sort((a, b) => a - b),
    [17, 18, 19, 20, 21, 22, 23],
  );
});

t.test('reorder: the chosen ones stay behind by reorderDelay, the others keep their order', async (t) => {
  const { faulty, far, clock } = wire({ reorder: 0.2, reorderDelay: 8 });
  send(faulty, ...numbered(200));
  const first = received(far).map(numberOf);
  clock.advance(7);
  faulty.poll(clock.now());
  t.same(received(far), []);
  clock.advance(1);
  faulty.poll(clock.now());
  const late = received(far).map(numberOf);
  t.equal(late.length, faulty.counts.out.reordered);
  t.ok(late.length > 10 && first.length > 100);
  const ascending = (list: number[]) => list.every((x, i) => i === 0 || list[i - 1]! < x);
  t.ok(ascending(first) && ascending(late));
  t.equal(new Set([...first, ...late]).size, 200);
});

t.test('direction limits the faults to one way', async (t) => {
  for (const direction of ['in', 'out'] as const) {
    const { faulty, far } = wire({ loss: 1, direction });
    send(faulty, packet(1, 40));
    send(far, packet(2, 40));
    t.equal(received(far).length, direction === 'out' ? 0 : 1);
    t.equal(received(faulty).length, direction === 'in' ? 0 : 1);
  }
});

/** Runs a script of sends and waits; returns all that arrived, with its time. */
function run(options: Partial<FaultOptions>, script: readonly (readonly [number, boolean])[]): string[] {
  const { faulty, far, clock } = wire(options);
  const log: string[] = [];
  let mark = 0;
  const look = () => {
    for (const bytes of received(faulty)) log.push(`${clock.now()} in ${Buffer.from(bytes).toString('hex')}`);
    for (const bytes of received(far)) log.push(`${clock.now()} out ${Buffer.from(bytes).toString('hex')}`);
  };
  for (const [wait, outward] of script) {
    send(outward ? faulty : far, packet(mark++, 24));
    for (let i = 0; i < wait; i++) {
      look();
      clock.advance(1);
    }
  }
  for (let i = 0; i < 100; i++) {
    look();
    clock.advance(1);
  }
  return log;
}

const faulty = { loss: 0.1, duplicate: 0.1, corrupt: 0.1, reorder: 0.1, delay: 4, jitter: 2 };
const script = fc.array(fc.tuple(fc.nat(3), fc.boolean()), { maxLength: 60, size: 'max' });

t.test('same seed and same packets: the same run', async (t) => {
  fc.assert(
    fc.property(script, fc.integer(), (script, seed) => {
      t.same(run({ ...faulty, seed }, script), run({ ...faulty, seed }, script));
    }),
    { numRuns: 30 },
  );
  const long = Array.from({ length: 60 }, (_, i) => [1, i % 2 === 0] as const);
  t.notSame(run({ ...faulty, seed: 1 }, long), run({ ...faulty, seed: 2 }, long));
});

t.test('nothing gets lost but what was counted, nothing appears but duplicates', async (t) => {
  fc.assert(
    fc.property(script, fc.integer(), (script, seed) => {
      const { faulty: link, far, clock } = wire({ ...faulty, seed });
      let arrived = 0;
      script.forEach(([wait, outward], mark) => {
        send(outward ? link : far, packet(mark, 24));
        clock.advance(wait);
        arrived += received(link).length + received(far).length;
      });
      clock.advance(100);
      arrived += received(link).length;
      link.poll(clock.now());
      arrived += received(far).length;
      const sum = (key: 'lost' | 'duplicated' | 'overflowed') => link.counts.in[key] + link.counts.out[key];
      if (arrived !== script.length - sum('lost') + sum('duplicated'))
        t.fail(`${arrived} of ${script.length}`);
      if (sum('overflowed') !== 0) t.fail('overflow');
      if (link.nextDeadline(clock.now()) !== -1) t.fail('something stayed');
    }),
    { numRuns: 200 },
  );
});

t.test('faults of one direction do not depend on the traffic of the other', async (t) => {
  const one = Array.from({ length: 40 }, () => [1, true] as const);
  const only = run({ ...faulty, seed: 9 }, one).map((line) => line.split(' ').slice(1).join(' '));
  const { faulty: link, far, clock } = wire({ ...faulty, seed: 9 });
  const log: string[] = [];
  for (let i = 0; i < 140; i++) {
    if (i < 40) send(link, packet(i, 24));
    send(far, packet(200, 24));
    received(link);
    for (const bytes of received(far)) log.push(`out ${Buffer.from(bytes).toString('hex')}`);
    clock.advance(1);
  }
  t.same(log, only);
});

t.test('hold and release: the third packet waits 70 s, the rest goes on', async (t) => {
  const { faulty, far, clock } = wire({});
  let seen = 0;
  const hold = faulty.hold((bytes, offset, length, direction) => {
    t.equal(length, 40);
    return direction === 'out' && bytes[offset + 1]! < 200 && ++seen === 3;
  });
  send(faulty, ...numbered(5));
  send(far, packet(7, 40));
  t.same(received(far).map(numberOf), [0, 1, 3, 4]);
  t.equal(received(faulty).length, 1, 'the other direction is asked, too');
  t.equal(hold.held, 1);
  clock.advance(70_000);
  faulty.poll(clock.now());
  t.same(received(far), []);
  t.equal(faulty.nextDeadline(clock.now()), -1, 'held packets have no deadline');
  t.equal(hold.release(), 1);
  t.equal(faulty.nextDeadline(clock.now()), 0);
  faulty.poll(clock.now());
  t.same(received(far).map(numberOf), [2]);
  t.equal(hold.release(), 0, 'released once');
  t.equal(faulty.counts.out.held, 1);
});

t.test('a released incoming packet calls the listener; released packets meet no faults', async (t) => {
  const { faulty, far } = wire({ loss: 1 });
  const hold = faulty.hold((_bytes, _offset, _length, direction) => direction === 'in');
  send(far, packet(1, 40), packet(2, 40));
  t.same(received(faulty), []);
  let calls = 0;
  faulty.onReadable(() => calls++);
  t.equal(hold.release(), 2);
  t.equal(calls, 1);
  t.same(received(faulty), [packet(1, 40), packet(2, 40)]);
  send(far, packet(3, 40));
  t.same(received(faulty), [], 'the hold is over, the loss is not');
});

t.test('memory stays bounded: beyond the limit packets are lost and counted', async (t) => {
  const { faulty, far, clock } = wire({ delay: 10, limit: 8 });
  send(faulty, ...numbered(20));
  t.equal(faulty.counts.out.overflowed, 12);
  clock.advance(10);
  faulty.poll(clock.now());
  t.equal(received(far).length, 8);
  const hold = faulty.hold(() => true);
  send(faulty, ...numbered(20));
  t.equal(hold.held, 8);
  t.equal(faulty.counts.out.overflowed, 24);
});

t.test('a tiny limit costs undelayed traffic nothing', async (t) => {
  const { faulty, far } = wire({ limit: 2, duplicate: 1 });
  const tx = new PacketRing(64, 64);
  for (const bytes of numbered(64)) put(tx, bytes);
  t.equal(faulty.transmit(tx), 64);
  t.equal(received(far).length, 128);
});

t.test('a busy inner link keeps packets, loses none, and is retried', async (t) => {
  const [near, far] = memoryLink({ capacity: 1024 });
  const clock = new ManualClock();
  let room = 3;
  const narrow: Link = Object.assign(Object.create(near) as Link, {
    transmit(ring: PacketRing): number {
      let sent = 0;
      while (room > 0 && ring.count > 0) {
        send(near, ring.bytes.slice(ring.offsetOf(0), ring.offsetOf(0) + ring.lengthOf(0)));
        ring.drop(1);
        room--;
        sent++;
      }
      return sent;
    },
  });
  const link = new FaultsLink(narrow, clock, {});
  const tx = new PacketRing(256, 64);
  for (const bytes of numbered(256)) put(tx, bytes);
  const taken = link.transmit(tx);
  t.ok(taken < 256, `${taken} taken`);
  t.equal(tx.count, 256 - taken, 'the rest stays with the caller');
  t.equal(link.transmit(tx), 0, 'still busy');
  t.ok(link.nextDeadline(clock.now()) > 0, 'no spinning');
  const numbers = received(far).map(numberOf);
  while (numbers.length < 256) {
    room = 7;
    link.transmit(tx);
    link.poll(clock.now());
    numbers.push(...received(far).map(numberOf));
  }
  t.same(
    numbers,
    Array.from({ length: 256 }, (_, i) => i),
  );
});

t.test('a small receive ring gets everything in several turns', async (t) => {
  const { faulty, far } = wire({ duplicate: 1 });
  const packets = numbered(300);
  send(far, ...packets);
  t.equal(received(faulty, 4).length, 600);
});

t.test('close reaches the inner link', async (t) => {
  const { faulty, far } = wire({ delay: 5 });
  send(faulty, packet(1, 40));
  faulty.close();
  faulty.close();
  send(far, packet(1, 40));
  t.same(received(faulty), []);
  t.equal(faulty.mtu, 1500);
});
