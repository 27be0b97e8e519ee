/**
 * Several engines on one device without threads: packets to them lie in queues that a seeded generator chooses
 * for each packet, as if the kernel moved flows about all the time.
 */
import type { Link } from '../../src/link/link.js';
import { memoryLink } from '../../src/link/memory.js';
import { Prng } from '../../src/link/prng.js';
import { createNetwork, type Network } from '../../src/net/network.js';
import { VirtualTime } from '../../src/net/virtual-time.js';
import { ManualClock } from '../../src/time/clock.js';
import { PacketRing } from '../../src/wire/ring.js';
import { Exchange, sharedLanes } from '../../src/workers/exchange.js';
import { SteeredLink } from '../../src/workers/steered-link.js';
import { Steering, type SteerBy } from '../../src/workers/steering.js';

export const CLIENT = '10.0.0.1';
export const SERVER = '10.0.0.2';
export const CLIENT6 = 'fd00::1';
export const SERVER6 = 'fd00::2';
export const KEY = Uint8Array.from({ length: 16 }, (_, i) => 7 * i + 3);

/** One of several queues over one end of a wire. */
class Queue implements Link {
  readonly name = 'queue';
  readonly mtu: number;
  readonly waiting = new PacketRing(1024, 2048);

  constructor(
    private readonly device: Link,
    private readonly spread: () => void,
  ) {
    this.mtu = device.mtu;
  }

  receive(ring: PacketRing): number {
    this.spread();
    let moved = 0;
    while (this.waiting.count > 0 && ring.free > 0) {
      const at = this.waiting.offsetOf(0);
      const length = this.waiting.lengthOf(0);
      ring.bytes.set(this.waiting.bytes.subarray(at, at + length), ring.tailOffset());
      ring.push(length, 0);
      this.waiting.drop(1);
      moved++;
    }
    return moved;
  }

  settle(): void {
    // Nothing is kept.
  }

  transmit(ring: PacketRing): number {
    return this.device.transmit(ring);
  }

  onReadable(): void {
    // Somebody takes turns.
  }

  ref(): void {
    // Nor is there an event loop to keep.
  }

  unref(): void {
    // As above.
  }

  close(): void {
    this.device.close();
  }
}

export interface Several {
  readonly client: Network;
  readonly engines: readonly Network[];
  readonly exchanges: readonly Exchange[];
  readonly time: VirtualTime;
  readonly steering: Steering;
  /** A packet of somebody else on the client's side. */
  inject(packet: Uint8Array): void;
}

/** `steered` false: each engine gets whatever its queue gets. */
export function several(
  count: number,
  options: { by?: SteerBy; policy?: string; steered?: boolean } = {},
): Several {
  const { by = 'tuple', policy = 'linux', steered = true } = options;
  const clock = new ManualClock(1_000_000);
  const [near, far] = memoryLink({ capacity: 1024 });
  const seed = (n: number): Uint8Array => new Uint8Array(32).fill(n);
  const knobs = { 'net.ipv4.tcp_rfc1337': 1 };
  const client = createNetwork({
    link: near,
    clock,
    manual: true,
    policy: 'linux',
    // Its timestamps are those of the clock.
    knobs: { 'net.ipv4.tcp_timestamp_offset': 0 },
    stack: { addresses: [`${CLIENT}/24`, `${CLIENT6}/64`], seed: seed(9) },
  });
  const random = new Prng(11, 12);
  const arrived = new PacketRing(1024, 2048);
  const spread = (): void => {
    far.receive(arrived);
    for (let i = 0; i < arrived.count; i++) {
      const { waiting } = queues[(random.next() >>> 0) % count]!;
      const at = arrived.offsetOf(i);
      waiting.bytes.set(arrived.bytes.subarray(at, at + arrived.lengthOf(i)), waiting.tailOffset());
      waiting.push(arrived.lengthOf(i), 0);
    }
    arrived.clear();
  };
  const queues = Array.from({ length: count }, () => new Queue(far, spread));
  const steering = new Steering(KEY, count, by);
  const lanes = sharedLanes(count);
  const exchanges = queues.map((_, i) => new Exchange(lanes, i, () => undefined));
  const engines = queues.map((queue, i) =>
    createNetwork({
      link: steered ? new SteeredLink(queue, steering, exchanges[i]!) : queue,
      clock,
      manual: true,
      policy,
      knobs,
      stack: {
        addresses: [`${SERVER}/24`, `${SERVER6}/64`],
        seed: seed(i + 1),
        hostSeed: seed(8),
        owns: (...tuple) => steering.ownerOfTuple(...tuple) === i,
      },
    }),
  );
  const inject = (packet: Uint8Array): void => {
    const ring = new PacketRing(1, 2048);
    ring.bytes.set(packet);
    ring.push(packet.length, 0);
    near.transmit(ring);
  };
  const time = new VirtualTime(clock, client, ...engines);
  return { client, engines, exchanges, steering, time, inject };
}
