/**
 * A link that writes down what passes: every packet received, with the reason the
 * engine gave for it as the packet's comment, and every packet really sent.
 */
import { finishChecksum } from '../wire/cut.js';
import type { PacketRing } from '../wire/ring.js';
import { PcapngWriter } from '../wire/pcapng.js';
import type { Clock, WallTime } from '../time/clock.js';
import { reasonComment } from '../reasons.js';
import type { Link } from './link.js';
import type { PacketSink } from './sink.js';

/** The file's format: pcapng, unless somebody wants another. */
export interface CaptureFormat {
  /** What stands at the start of the file. */
  header(): Uint8Array;
  /** One packet; `comment` '' for none. Seconds since 1970, nanoseconds within the second. */
  packet(
    bytes: Uint8Array,
    offset: number,
    length: number,
    seconds: number,
    nanoseconds: number,
    inbound: boolean,
    comment: string,
  ): Uint8Array;
}

export class CaptureLink implements Link {
  readonly name: string;
  readonly mtu: number;
  readonly largest: number;
  readonly offload: boolean;
  /** Packets written. */
  packets = 0;
  /** When the packet in each slot of the receive ring came. */
  private receivedAt: (WallTime | undefined)[] = [];
  private readonly comments: string[] = [''];
  private closed = false;

  constructor(
    private readonly inner: Link,
    private readonly sink: PacketSink,
    private readonly clock: Clock,
    private readonly format: CaptureFormat = new PcapngWriter(inner.name),
  ) {
    this.name = inner.name;
    this.mtu = inner.mtu;
    this.largest = inner.largest ?? inner.mtu;
    this.offload = inner.offload ?? false;
    sink.write(format.header());
  }

  receive(ring: PacketRing): number {
    const first = ring.count;
    const got = this.inner.receive(ring);
    if (got === 0) return 0;
    const at = this.clock.wall();
    for (let i = first; i < ring.count; i++) this.receivedAt[ring.slotOf(i)] = at;
    return got;
  }

  /** The packets of the ring are written, with the time at which they came. */
  settle(ring: PacketRing): void {
    for (let i = 0; i < ring.count; i++) {
      const slot = ring.slotOf(i);
      const at = this.receivedAt[slot] ?? this.clock.wall();
      this.write(ring, slot, at, true);
    }
    this.inner.settle(ring);
  }

  /** Packets the inner link took are written; those that must wait are not, yet. */
  transmit(ring: PacketRing): number {
    // The time before: an answer must not seem older than its question.
    const at = this.clock.wall();
    const head = ring.head;
    const sent = this.inner.transmit(ring);
    // Dropping moves the head only: the bytes are still in their slots.
    for (let i = 0; i < sent; i++) this.write(ring, (head + i) & (ring.slots - 1), at, false);
    return sent;
  }

  nextDeadline(now: number): number {
    return this.inner.nextDeadline?.(now) ?? -1;
  }

  onReadable(listener: (() => void) | null): void {
    this.inner.onReadable(listener);
  }

  ref(): void {
    this.inner.ref();
  }

  unref(): void {
    this.inner.unref();
  }

  losses(): Readonly<Record<string, number>> {
    return this.inner.losses?.() ?? {};
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.inner.close();
    this.sink.close();
  }

  private write(ring: PacketRing, slot: number, at: WallTime, inbound: boolean): void {
    if (this.closed) return;
    const comment = this.commentOf(ring.reasons[slot]!);
    const offset = slot * ring.slotSize;
    const length = ring.lengths[slot]!;
    // Who reads the file wants a checksum. Nobody else reads the slot any more.
    finishChecksum(ring.bytes, offset, length, ring.offloads[slot]!);
    this.sink.write(
      this.format.packet(ring.bytes, offset, length, at.seconds, at.nanoseconds, inbound, comment),
    );
    this.packets++;
  }

  /** `tw-syn-low: dropped silently: ... [FreeBSD tcp_twcheck]`; '' for the plain path. */
  private commentOf(reason: number): string {
    return (this.comments[reason] ??= reasonComment(reason));
  }
}
