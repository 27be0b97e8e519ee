/**
 * An Ethernet interface as a link: a device that moves frames, and the neighbour side that
 * knows whom they go to. The device's frames stand on the ring as IP packets, the link headers
 * beside them in records (wire/ethernet.ts), so that nothing is moved to take a header off.
 */
import type { Clock } from '../time/clock.js';
import { MARKS, MARK_PARTIAL, RECORD } from '../wire/ethernet.js';
import type { PacketRing } from '../wire/ring.js';
import type { Link } from './link.js';
import { Neighbours, PASS, type NeighboursOptions } from './neighbours.js';
import { PartialChecksums, type PartialOptions } from './partial.js';

/** What an Ethernet link needs of its device. Head and count of the rings are the caller's business. */
export interface FrameDevice {
  readonly name: string;
  readonly mtu: number;
  /** Largest IP packet that it hands over: segments may have been merged. */
  readonly largest: number;
  /** It marks partial checksums in the records; otherwise they are looked for. */
  readonly marksPartial: boolean;
  /** Fills free slots and their records; returns how many. */
  receive(ring: PacketRing, records: Uint8Array): number;
  /** Sends the `count` oldest, with their records; returns how many it took. */
  transmit(ring: PacketRing, records: Uint8Array, count: number): number;
  listen(listener: (() => void) | null): void;
  ref(): void;
  unref(): void;
  losses(): Readonly<Record<string, number>>;
  close(): void;
}

export interface EthernetOptions extends Omit<NeighboursOptions, 'mtu' | 'now'>, PartialOptions {
  readonly clock: Clock;
}

/** A busy device is tried again after this many ms. */
const BUSY_RETRY = 1;

export class EthernetLink implements Link {
  readonly name: string;
  readonly mtu: number;
  readonly largest: number;
  readonly neighbours: Neighbours;
  private readonly clock: Clock;
  private readonly partial: PartialChecksums;
  /** Records of the ring that receives, and of the one that sends. */
  private incoming = new Uint8Array(0);
  private leaving = new Uint8Array(0);
  private closed = false;

  constructor(
    private readonly device: FrameDevice,
    options: EthernetOptions,
  ) {
    this.name = device.name;
    this.mtu = device.mtu;
    this.largest = device.largest;
    this.clock = options.clock;
    this.neighbours = new Neighbours({ ...options, mtu: device.mtu, now: options.clock.now() });
    this.partial = new PartialChecksums(device.name, options);
  }

  receive(ring: PacketRing): number {
    if (this.closed) return 0;
    const now = this.clock.now();
    this.neighbours.advance(now);
    if (this.incoming.length < ring.slots * RECORD) this.incoming = new Uint8Array(ring.slots * RECORD);
    const moved = this.device.receive(ring, this.incoming);
    let kept = 0;
    for (let i = 0; i < moved; i++) if (this.accept(ring, ring.count + i, ring.count + kept, now)) kept++;
    ring.count += kept;
    this.flush();
    return kept + this.deliverErrors(ring);
  }

  /** Looks at the frame in place `from` behind the oldest; when it is for the stack it ends up in place `to`. */
  private accept(ring: PacketRing, from: number, to: number, now: number): boolean {
    const slot = ring.slotOf(from);
    const offset = slot * ring.slotSize;
    const length = ring.lengths[slot]!;
    const record = slot * RECORD;
    const { incoming } = this;
    if (this.neighbours.receive(incoming, record, ring.bytes, offset, length, now) !== PASS) return false;
    if (!this.device.marksPartial || (incoming[record + MARKS + 1]! & MARK_PARTIAL) !== 0)
      this.partial.look(ring.bytes, offset, length);
    const place = ring.slotOf(to);
    if (place !== slot) {
      ring.bytes.copyWithin(place * ring.slotSize, offset, offset + length);
      ring.lengths[place] = length;
    }
    ring.reasons[place] = 0;
    return true;
  }

  /** Errors of our own: what could not be delivered on the link. */
  private deliverErrors(ring: PacketRing): number {
    const { unreachable } = this.neighbours;
    let moved = 0;
    while (ring.free > 0) {
      const packet = unreachable.shift();
      if (packet === undefined) break;
      ring.bytes.set(packet, ring.tailOffset());
      ring.push(packet.length, 0);
      moved++;
    }
    return moved;
  }

  settle(): void {
    // Nothing is kept per packet.
  }

  transmit(ring: PacketRing): number {
    if (this.closed) return 0;
    const now = this.clock.now();
    if (this.leaving.length < ring.slots * RECORD) this.leaving = new Uint8Array(ring.slots * RECORD);
    const before = ring.count;
    // What waited for an address goes ahead of what is younger.
    while (ring.count > 0 && this.flush()) {
      const run = this.addressed(ring, now);
      if (run > 0) {
        const taken = this.device.transmit(ring, this.leaving, run);
        ring.drop(taken);
        if (taken < run) break;
      } else {
        this.neighbours.hold(ring.bytes, ring.offsetOf(0), ring.lengthOf(0), now);
        ring.drop(1);
      }
    }
    this.flush();
    return before - ring.count;
  }

  /** Writes records for the oldest packets; how many, up to the first whose next hop is not known. */
  private addressed(ring: PacketRing, now: number): number {
    for (let i = 0; i < ring.count; i++) {
      const slot = ring.slotOf(i);
      const { neighbours, leaving } = this;
      const offset = slot * ring.slotSize;
      if (!neighbours.address(ring.bytes, offset, ring.lengths[slot]!, leaving, slot * RECORD, now)) return i;
    }
    return ring.count;
  }

  /** Sends what the neighbour side has to say; false: the device is busy. */
  private flush(): boolean {
    const { ring, records } = this.neighbours.outgoing;
    if (ring.count > 0) ring.drop(this.device.transmit(ring, records, ring.count));
    return ring.count === 0;
  }

  nextDeadline(now: number): number {
    if (this.neighbours.unreachable.length > 0) return 0;
    const next = this.neighbours.nextDeadline(now);
    if (this.neighbours.outgoing.ring.count === 0) return next;
    return next < 0 || next > BUSY_RETRY ? BUSY_RETRY : next;
  }

  losses(): Readonly<Record<string, number>> {
    const { counts, outgoing } = this.neighbours;
    return {
      ...this.device.losses(),
      unreachable: counts.unreachable,
      waiting: counts.overflow + outgoing.lost,
      partial: this.partial.refused,
    };
  }

  onReadable(listener: (() => void) | null): void {
    if (!this.closed) this.device.listen(listener);
  }

  ref(): void {
    this.device.ref();
  }

  unref(): void {
    this.device.unref();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.device.close();
  }
}
