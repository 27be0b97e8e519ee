/** A link that wraps a link and lets the lab put packets of its own among those received: old duplicates, forged SYNs. */
import type { Link } from '../link/link.js';
import type { PacketRing } from '../wire/ring.js';

/** Packets waiting at most; more are a programmer's mistake. */
const LIMIT = 1024;

export class InjectLink implements Link {
  readonly name: string;
  readonly mtu: number;
  private readonly waiting: Uint8Array[] = [];
  private listener: (() => void) | null = null;

  constructor(private readonly inner: Link) {
    this.name = inner.name;
    this.mtu = inner.mtu;
  }

  /** The packet arrives with the next receive. */
  inject(packet: Uint8Array): void {
    if (this.waiting.length >= LIMIT) throw new RangeError(`more than ${LIMIT} packets wait to be injected`);
    if (packet.length > this.mtu)
      throw new RangeError(`packet of ${packet.length} bytes on a link of ${this.mtu}`);
    this.waiting.push(packet);
    this.listener?.();
  }

  receive(ring: PacketRing): number {
    let moved = 0;
    while (this.waiting.length > 0 && ring.free > 0) {
      const packet = this.waiting.shift()!;
      ring.bytes.set(packet, ring.tailOffset());
      ring.push(packet.length, 0);
      moved++;
    }
    return moved + this.inner.receive(ring);
  }

  settle(ring: PacketRing): void {
    this.inner.settle(ring);
  }

  transmit(ring: PacketRing): number {
    return this.inner.transmit(ring);
  }

  nextDeadline(now: number): number {
    return this.waiting.length > 0 ? 0 : (this.inner.nextDeadline?.(now) ?? -1);
  }

  onReadable(listener: (() => void) | null): void {
    this.listener = listener;
    this.inner.onReadable(listener);
  }

  ref(): void {
    this.inner.ref();
  }

  unref(): void {
    this.inner.unref();
  }

  close(): void {
    this.inner.close();
  }
}
