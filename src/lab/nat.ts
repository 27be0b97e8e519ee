/**
 * NATs in front of our stack, as links over the simulator's core (sim/nat.ts).
 *
 * `NatLink` wraps one link: those behind it are told apart by their addresses, everybody
 * else passes as he is. The clock of a client can be put back: what another machine,
 * switched on later, would show in its timestamps.
 *
 * `NatSwitch` merges several links, one machine behind each, which may all have the same
 * address; what it cannot translate is dropped, as by a router.
 */
import type { Link } from '../link/link.js';
import { Nat } from '../sim/nat.js';
import type { Clock } from '../time/clock.js';
import type { Address } from '../wire/address.js';
import { IpHeader } from '../wire/ip.js';
import { PacketRing } from '../wire/ring.js';

export interface NatClient {
  /** IPv4. */
  readonly address: Address;
  /** Added to the client's timestamps on the way in, taken off their echo on the way out; ms. */
  readonly clockShift: number;
}

export class NatLink implements Link {
  readonly name: string;
  readonly mtu: number;
  readonly nat: Nat;
  private readonly ip = new IpHeader();

  constructor(
    private readonly inner: Link,
    publicAddress: Address,
    private readonly clients: readonly NatClient[],
    private readonly clock: Clock,
  ) {
    this.name = inner.name;
    this.mtu = inner.mtu;
    this.nat = new Nat({
      outside: publicAddress,
      choice: 'preserve',
      clockShifts: clients.map(({ clockShift }) => clockShift),
      seed: 1,
      now: clock.now(),
    });
  }

  receive(ring: PacketRing): number {
    const first = ring.count;
    const got = this.inner.receive(ring);
    const now = this.clock.now();
    for (let i = first; i < ring.count; i++) {
      const at = ring.offsetOf(i);
      const length = ring.lengthOf(i);
      const client = this.clientOf(ring.bytes, at, length);
      if (client >= 0) this.nat.outbound(client, ring.bytes, at, length, now);
    }
    return got;
  }

  /** Whose packet this is; -1 for others. */
  private clientOf(bytes: Uint8Array, offset: number, length: number): number {
    const { ip } = this;
    if (ip.load(bytes, offset, length) !== 0 || ip.version !== 4) return -1;
    return this.clients.findIndex(({ address }) => address.words[3] === ip.src3);
  }

  /** What leaves is translated; what stays in the ring, and what a capture in front of us finds in its slots, is not. */
  transmit(ring: PacketRing): number {
    const now = this.clock.now();
    const places = Array.from({ length: ring.count }, (_, i) => ring.offsetOf(i));
    const before = places.map((at, i) => ring.bytes.slice(at, at + ring.lengthOf(i)));
    places.forEach((at, i) => this.nat.inbound(ring.bytes, at, before[i]!.length, now));
    const sent = this.inner.transmit(ring);
    places.forEach((at, i) => ring.bytes.set(before[i]!, at));
    return sent;
  }

  settle(ring: PacketRing): void {
    this.inner.settle(ring);
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

  close(): void {
    this.inner.close();
  }
}

/** Sees the packet of an inside before it is translated; false loses it. */
export type Gate = (inside: number, bytes: Uint8Array, offset: number, length: number) => boolean;

export interface NatSwitchOptions {
  /** One machine each; the NAT knows them by their place. */
  readonly insides: readonly Link[];
  readonly nat: Nat;
  readonly clock: Clock;
}

/** Packets that wait per inside and direction, a power of two. */
const WAITING = 128;
/** ms until a busy inside is tried again. */
const BUSY_RETRY = 1;

export class NatSwitch implements Link {
  readonly name: string;
  /** The smallest of the insides'. */
  readonly mtu: number;
  readonly nat: Nat;
  gate: Gate | null = null;
  private readonly insides: readonly Link[];
  private readonly clock: Clock;
  /** Per inside: on their way to us, on their way to it. */
  private readonly arriving: readonly PacketRing[];
  private readonly leaving: readonly PacketRing[];
  /** Who is asked first; everybody in turn. */
  private turn = 0;

  /** Throws RangeError without insides. */
  constructor({ insides, nat, clock }: NatSwitchOptions) {
    if (insides.length === 0) throw new RangeError('insides: at least one link');
    this.insides = insides;
    this.nat = nat;
    this.clock = clock;
    this.name = insides.map(({ name }) => name).join('+');
    this.mtu = Math.min(...insides.map(({ mtu }) => mtu));
    const largest = Math.max(...insides.map(({ mtu }) => mtu));
    this.arriving = insides.map(() => new PacketRing(WAITING, largest));
    this.leaving = insides.map(() => new PacketRing(WAITING, largest));
  }

  receive(ring: PacketRing): number {
    this.flush();
    const now = this.clock.now();
    const before = ring.count;
    const { length } = this.insides;
    for (let n = 0; n < length; n++) this.receiveFrom((this.turn + n) % length, ring, now);
    this.turn = (this.turn + 1) % length;
    return ring.count - before;
  }

  private receiveFrom(inside: number, ring: PacketRing, now: number): void {
    const from = this.arriving[inside]!;
    this.insides[inside]!.receive(from);
    while (from.count > 0 && ring.free > 0) {
      const { bytes } = from;
      const at = from.offsetOf(0);
      const length = from.lengthOf(0);
      const passes =
        length <= ring.slotSize &&
        this.gate?.(inside, bytes, at, length) !== false &&
        this.nat.outbound(inside, bytes, at, length, now);
      if (passes) {
        ring.bytes.set(bytes.subarray(at, at + length), ring.tailOffset());
        ring.push(length, 0);
      }
      from.drop(1);
    }
  }

  transmit(ring: PacketRing): number {
    const now = this.clock.now();
    let sent = 0;
    while (sent < ring.count && this.roomForAll()) {
      const at = ring.offsetOf(sent);
      const length = ring.lengthOf(sent);
      const inside = this.nat.inbound(ring.bytes, at, length, now);
      const to = this.leaving[inside];
      if (to !== undefined && length <= to.slotSize) {
        to.bytes.set(ring.bytes.subarray(at, at + length), to.tailOffset());
        to.push(length, 0);
      }
      sent++;
    }
    ring.drop(sent);
    this.flush();
    return sent;
  }

  /** Nobody knows whom the next packet is for before it is translated, and that is done once. */
  private roomForAll(): boolean {
    if (this.leaving.every(({ free }) => free > 0)) return true;
    this.flush();
    return this.leaving.every(({ free }) => free > 0);
  }

  private flush(): void {
    this.leaving.forEach((ring, inside) => {
      if (ring.count > 0) this.insides[inside]!.transmit(ring);
    });
  }

  settle(): void {
    // The insides never see our stack's ring.
  }

  nextDeadline(now: number): number {
    if (this.arriving.some(({ count }) => count > 0)) return 0;
    let next = this.leaving.some(({ count }) => count > 0) ? BUSY_RETRY : -1;
    for (const inside of this.insides) {
      const due = inside.nextDeadline?.(now) ?? -1;
      if (due >= 0 && (next < 0 || due < next)) next = due;
    }
    return next;
  }

  onReadable(listener: (() => void) | null): void {
    for (const inside of this.insides) inside.onReadable(listener);
  }

  ref(): void {
    for (const inside of this.insides) inside.ref();
  }

  unref(): void {
    for (const inside of this.insides) inside.unref();
  }

  close(): void {
    for (const inside of this.insides) inside.close();
  }
}
