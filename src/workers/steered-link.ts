/**
 * One queue of a device that several engines share: the engine behind this link sees the packets of its own
 * flows, whichever queue the kernel put them into. What belongs to another worker is handed over, what others
 * hand over comes in with what the queue gives.
 */
import type { Link } from '../link/link.js';
import type { PacketRing } from '../wire/ring.js';
import type { Exchange } from './exchange.js';
import type { Steering } from './steering.js';

/**
 * What a queue gives to whom reads it. `steered`: plain TCP by its owner, as the kernel's program says, and to the
 * first worker whatever else there is. `mixed`: anything to anybody. `nothing`: somebody else reads, and hands over.
 */
export type Feed = 'steered' | 'mixed' | 'nothing';

/** A batch of others' packets is followed by another look at the queue, this often at most. */
const MOST_READS = 8;

export class SteeredLink implements Link {
  readonly name: string;
  readonly mtu: number;
  readonly largest: number;
  readonly offload: boolean;
  readonly gathers: boolean;
  private listener: (() => void) | null = null;
  private readonly reads: boolean;

  constructor(
    private readonly queue: Link,
    private readonly steering: Steering,
    private readonly exchange: Exchange,
    private readonly feed: Feed = 'mixed',
  ) {
    this.reads = feed !== 'nothing';
    this.name = queue.name;
    this.mtu = queue.mtu;
    this.largest = queue.largest ?? queue.mtu;
    this.offload = queue.offload ?? false;
    this.gathers = queue.gathers ?? false;
  }

  receive(ring: PacketRing): number {
    const before = ring.count;
    // Others' packets leave room for those of the queue.
    const most = this.reads ? (ring.free + 1) >> 1 : ring.free;
    // Whoever is in between may keep what it got: this link asks to be read again itself.
    if (this.exchange.take(ring, most) > 0) this.listener?.();
    for (let read = 0; this.reads && ring.free > 0 && read < MOST_READS; read++) {
      const first = ring.count;
      const got = this.queue.receive(ring);
      this.keepOwn(ring, first);
      // Nothing more there, or something to do first.
      if (got === 0 || ring.count > first) break;
    }
    this.exchange.ring();
    return ring.count - before;
  }

  /** Of the packets from the first on, those of other workers go to them, and the others close up. */
  private keepOwn(ring: PacketRing, first: number): void {
    const { steering, exchange } = this;
    const { count } = ring;
    const isSteered = this.feed === 'steered';
    if (isSteered && exchange.self > 0) return;
    let kept = first;
    for (let i = first; i < count; i++) {
      const at = ring.offsetOf(i);
      const length = ring.lengthOf(i);
      const isOwn = isSteered && steering.isPlain(ring.bytes, at, length);
      const owner = isOwn ? exchange.self : steering.ownerOf(ring.bytes, at, length);
      if (owner !== exchange.self)
        exchange.give(owner, ring.bytes, at, length, ring.offloads[ring.slotOf(i)]!);
      else ring.move(i, kept++);
    }
    ring.count = kept;
  }

  settle(ring: PacketRing): void {
    this.queue.settle(ring);
  }

  transmit(ring: PacketRing): number {
    return this.queue.transmit(ring);
  }

  onReadable(listener: (() => void) | null): void {
    this.listener = listener;
    if (this.reads) this.queue.onReadable(listener);
  }

  /** The worker's bell was rung. */
  awake(): void {
    this.listener?.();
  }

  ref(): void {
    this.queue.ref();
  }

  unref(): void {
    this.queue.unref();
  }

  losses(): Readonly<Record<string, number>> {
    return { ...this.queue.losses?.(), handover: this.exchange.lost };
  }

  close(): void {
    this.queue.close();
  }
}
