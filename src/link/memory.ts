/**
 * A wire in memory: two links, what one transmits the other receives. No delay, no
 * loss but that of a full queue; put `FaultsLink` around an end for those.
 */
import { PacketRing } from '../wire/ring.js';
import type { Link } from './link.js';

export interface MemoryLinkOptions {
  /** Largest IP packet in bytes; default 1500. */
  readonly mtu?: number;
  /** Packets that wait at each end, a power of two; default 256. */
  readonly capacity?: number;
  /** The ends are called `name`:0 and `name`:1; default 'memory'. */
  readonly name?: string;
}

/** One end of the wire. `memoryLink` makes them in pairs. */
export class MemoryLink implements Link {
  readonly name: string;
  readonly mtu: number;
  /** Packets that were sent towards this end and lost: its queue was full, or they were larger than the MTU or the receiver's slots. */
  dropped = 0;
  private readonly inbox: PacketRing;
  private peer: MemoryLink | null = null;
  private listener: (() => void) | null = null;
  private closed = false;

  constructor(name: string, mtu: number, capacity: number) {
    this.name = name;
    this.mtu = mtu;
    this.inbox = new PacketRing(capacity, mtu);
  }

  /** Joins two ends. */
  static join(a: MemoryLink, b: MemoryLink): void {
    a.peer = b;
    b.peer = a;
  }

  /** Packets waiting for `receive`. */
  get waiting(): number {
    return this.inbox.count;
  }

  receive(ring: PacketRing): number {
    const inbox = this.inbox;
    let moved = 0;
    while (inbox.count > 0 && ring.free > 0) {
      const length = inbox.lengthOf(0);
      if (length <= ring.slotSize) {
        const from = inbox.offsetOf(0);
        ring.bytes.set(inbox.bytes.subarray(from, from + length), ring.tailOffset());
        ring.push(length, 0);
        moved++;
      } else {
        this.dropped++;
      }
      inbox.drop(1);
    }
    return moved;
  }

  settle(): void {}

  /** Never busy: takes all packets. What the other end has no room for is lost there, as on a real wire. */
  transmit(ring: PacketRing): number {
    const sent = ring.count;
    const peer = this.closed ? null : this.peer;
    if (peer !== null && !peer.closed) {
      for (let i = 0; i < sent; i++) peer.deliver(ring.bytes, ring.offsetOf(i), ring.lengthOf(i));
    }
    ring.drop(sent);
    if (sent > 0 && peer !== null) peer.listener?.();
    return sent;
  }

  /**
   * The listener is called from within the other end's `transmit`: it should note
   * the fact and return. Packets that came before it was set raise no call.
   */
  onReadable(listener: (() => void) | null): void {
    this.listener = listener;
  }

  ref(): void {}

  unref(): void {}

  close(): void {
    this.closed = true;
    this.listener = null;
    this.inbox.clear();
  }

  private deliver(bytes: Uint8Array, offset: number, length: number): void {
    const inbox = this.inbox;
    if (inbox.free === 0 || length > this.mtu) {
      this.dropped++;
      return;
    }
    inbox.bytes.set(bytes.subarray(offset, offset + length), inbox.tailOffset());
    inbox.push(length, 0);
  }
}

/** Two crossed links. Throws RangeError on a capacity that is no power of two. */
export function memoryLink(options: MemoryLinkOptions = {}): [MemoryLink, MemoryLink] {
  const { mtu = 1500, capacity = 256, name = 'memory' } = options;
  const ends: [MemoryLink, MemoryLink] = [
    new MemoryLink(`${name}:0`, mtu, capacity),
    new MemoryLink(`${name}:1`, mtu, capacity),
  ];
  MemoryLink.join(ends[0], ends[1]);
  return ends;
}
