/** The ring of bytes between two workers beside a list of packets. */
import fc from 'fast-check';
import t from 'tap';
import { PacketRing } from '../../src/wire/ring.js';
import type { Link } from '../../src/link/link.js';
import { parseAddress } from '../../src/wire/address.js';
import { icmpError } from '../../src/wire/icmp.js';
import type { SegmentText } from '../../src/wire/notation.js';
import { parseNotation } from '../../src/wire/notation-parse.js';
import { buildPacket } from '../../src/wire/notation-packet.js';
import { Exchange, sharedLanes } from '../../src/workers/exchange.js';
import { Lane } from '../../src/workers/lane.js';
import { SteeredLink } from '../../src/workers/steered-link.js';
import { Steering } from '../../src/workers/steering.js';
import { KEY } from './several.js';

const SIZE = 1 << 10;

const packet = (length: number, mark: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (mark + i) & 0xff);

t.test('packets come out as they went in, in order, or are refused', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.integer({ min: 1, max: 400 }), fc.constant(0)), { maxLength: 200 }),
      (steps) => {
        const memory = Lane.memory(SIZE);
        // Two views, as two threads have.
        const [writer, reader] = [new Lane(memory), new Lane(memory)];
        const ring = new PacketRing(4, 512);
        const waiting: { bytes: Uint8Array; offload: number }[] = [];
        let mark = 0;
        for (const length of steps) {
          if (length > 0) {
            const bytes = packet(length, mark);
            const offload = mark++ << 3;
            // Somewhere in a larger array, as in a ring.
            const around = new Uint8Array(length + 7);
            around.set(bytes, 5);
            if (writer.put(around, 5, length, offload)) waiting.push({ bytes, offload });
            else {
              const used = waiting.reduce((sum, each) => sum + each.bytes.length + 11, 0);
              t.ok(used + length + 11 + 400 > SIZE - 16, 'refused without need');
            }
            continue;
          }
          const taken = reader.take(ring, 8);
          t.equal(taken, Math.min(4, waiting.length));
          for (let i = 0; i < taken; i++) {
            const { bytes, offload } = waiting.shift()!;
            const at = ring.offsetOf(i);
            t.same(ring.bytes.slice(at, at + ring.lengthOf(i)), bytes);
            t.equal(ring.offloads[ring.slotOf(i)], offload);
          }
          ring.clear();
        }
      },
    ),
    { numRuns: 300 },
  );
  t.end();
});

t.test('a bell rings once until somebody has found nothing, and what comes after that rings again', (t) => {
  const shared = sharedLanes(3);
  const rung: number[] = [];
  const [a, b, c] = [0, 1, 2].map((self) => new Exchange(shared, self, (worker) => rung.push(worker)));
  const ring = new PacketRing(8, 64);
  const give = (from: Exchange, mark: number): void => {
    from.give(1, packet(40, mark), 0, 40, 0);
    from.ring();
  };
  give(a!, 1);
  give(c!, 2);
  give(a!, 3);
  t.same(rung, [1]);
  t.equal(b!.take(ring, 2), 2, 'no more than wanted');
  give(c!, 4);
  t.same(rung, [1], 'whoever got something comes again');
  t.equal(b!.take(ring, 8), 2);
  t.equal(b!.take(ring, 8), 0);
  give(a!, 5);
  t.same(rung, [1, 1]);
  a!.ring();
  t.same(rung, [1, 1], 'nothing new');
  t.equal(b!.take(ring, 8), 1);
  t.same([a!.given, b!.taken, c!.given, b!.lost], [3, 5, 2, 0]);
  t.end();
});

t.test('a full lane loses, and counts it', (t) => {
  const shared = sharedLanes(2);
  const second = new Exchange(shared, 1, () => undefined);
  const first = new Exchange(shared, 0, () => undefined);
  const large = packet(65_000, 1);
  for (let i = 0; i < 100; i++) second.give(0, large, 0, large.length, 0);
  t.equal(second.given + second.lost, 100);
  t.equal(second.given, 4, '256 KB');
  const ring = new PacketRing(8, 65_536);
  t.equal(first.take(ring, 8), 4);
  second.give(0, large, 0, large.length, 0);
  t.equal(first.take(ring, 8), 1, 'there is room again');
  t.end();
});

/** A queue that has whatever is wanted, as `fill` puts it into the ring. */
function queueOf(fill: (ring: PacketRing) => void): Link {
  return {
    name: 'busy',
    mtu: 64,
    receive(ring) {
      const { free } = ring;
      while (ring.free > 0) fill(ring);
      return free;
    },
    settle: () => undefined,
    transmit: () => 0,
    onReadable: () => undefined,
    ref: () => undefined,
    unref: () => undefined,
    close: () => undefined,
  };
}

t.test('what others hand over leaves room for the queue, and is asked for until there is nothing', (t) => {
  const steering = new Steering(KEY, 2, 'tuple');
  const shared = sharedLanes(2);
  const [first, second] = [0, 1].map((self) => new Exchange(shared, self, () => undefined));
  const mark = { theirs: 1, queues: 2 };
  // Nobody's flow: the first worker's.
  const queue = queueOf((ring) => {
    ring.bytes.fill(mark.queues, ring.tailOffset(), ring.tailOffset() + 40);
    ring.push(40, 0);
  });
  const link = new SteeredLink(queue, steering, first!);
  let asked = 0;
  link.onReadable(() => asked++);
  for (let i = 0; i < 12; i++) second!.give(0, packet(40, mark.theirs), 0, 40, 0);
  const ring = new PacketRing(8, 64);
  const firsts = (): number[] => {
    ring.clear();
    link.receive(ring);
    return Array.from({ length: ring.count }, (_, i) => ring.bytes[ring.offsetOf(i)]!);
  };
  for (let i = 0; i < 3; i++) t.same(firsts(), [1, 1, 1, 1, 2, 2, 2, 2]);
  t.equal(asked, 3);
  t.same(firsts(), new Array(8).fill(2));
  t.equal(asked, 3);
  t.end();
});

t.test(
  'where the kernel steers, plain TCP is its reader’s; the rest goes from the first to its owner',
  (t) => {
    const steering = new Steering(KEY, 2, 'tuple');
    const [far, near] = ['10.0.0.1', '10.0.0.2'].map((text) => parseAddress(text)!);
    const text = parseNotation('S 1:1(0) win 100') as SegmentText;
    const ends = Array.from({ length: 32 }, (_, i) => ({
      src: far!,
      dst: near!,
      srcPort: 1000 + i,
      dstPort: 80,
    }));
    const plain = ends.map((each) => buildPacket(text, each));
    const errors = ends.map(({ src, dst, srcPort, dstPort }) => {
      const quoted = buildPacket(text, { src: dst, dst: src, srcPort: dstPort, dstPort: srcPort });
      return icmpError(quoted, { type: 3, code: 1, source: Uint8Array.of(10, 0, 0, 9) });
    });
    const others = errors.filter((each) => steering.ownerOf(each, 0, each.length) === 1).length;
    t.ok(others > 4);
    for (const self of [0, 1]) {
      const exchange = new Exchange(sharedLanes(2), self, () => undefined);
      const waiting = [...plain, ...(self === 0 ? errors : [])];
      let next = 0;
      const queue = queueOf((ring) => {
        const packet = waiting[next++ % waiting.length]!;
        ring.bytes.set(packet, ring.tailOffset());
        ring.push(packet.length, 0);
      });
      const ring = new PacketRing(64, 128);
      ring.use(waiting.length);
      const got = new SteeredLink(queue, steering, exchange, 'steered').receive(ring);
      t.equal(got, waiting.length - (self === 0 ? others : 0));
      t.equal(exchange.given, self === 0 ? others : 0);
    }
    t.end();
  },
);
