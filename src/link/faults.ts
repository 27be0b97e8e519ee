/**
 * A faulty wire around a link: packets are lost, delayed, overtaken, doubled and
 * spoiled, all from one seed; and any packet can be held back by predicate and
 * released later ("keep the third data segment for 70 s").
 *
 *     engine  <-- receive --  [ in:  faults, delay queue ]  <--  inner link
 *     engine  -- transmit -->  [ out: faults, delay queue ]  -->  inner link
 *
 * No timer of its own: delayed packets move on at the next `receive`, `transmit` or
 * `poll`, and `nextDeadline` says when that is worth while.
 *
 * The wire carries segments as such: what an inner link merged is cut before it gets a fate.
 *
 * Captures belong outside, `capture(faults(device))`: they then show what the
 * engine saw, and keep the engine's reasons.
 */
import { Cutter } from '../wire/cut.js';
import { PacketRing } from '../wire/ring.js';
import type { Clock } from '../time/clock.js';
import type { Link } from './link.js';
import { DelayQueue } from './delay-queue.js';
import { noFaults } from './fault-options.js';
import type { Direction, FaultOptions } from './fault-options.js';
import { Prng } from './prng.js';

export { parseFaults, faultKeys } from './fault-options.js';
export type { Direction, FaultOptions } from './fault-options.js';

/** Must not keep `bytes`: the packet is bytes[offset .. offset + length) during the call only. */
export type HoldPredicate = (
  bytes: Uint8Array,
  offset: number,
  length: number,
  direction: Direction,
) => boolean;

export interface HoldHandle {
  /** Packets held now. */
  readonly held: number;
  /** Lets the held packets go on, in the order they came and without further faults, and holds no more; returns how many. */
  release(): number;
}

/** What happened in one direction, in packets. */
export class FaultCounts {
  passed = 0;
  lost = 0;
  corrupted = 0;
  duplicated = 0;
  reordered = 0;
  held = 0;
  /** Lost because `limit` packets were under way or held. */
  overflowed = 0;
}

const STAGE_SLOTS = 64;
/** ms until the next try when the inner link was busy. */
const BUSY_RETRY = 1;

export class FaultsLink implements Link {
  readonly name: string;
  readonly mtu: number;
  readonly largest: number;
  readonly counts: { readonly in: FaultCounts; readonly out: FaultCounts };
  private readonly incoming: Lane;
  private readonly outgoing: Lane;
  /** Packets fresh from the inner link, and those on their way into it. */
  private readonly rxStage: PacketRing;
  private readonly txStage: PacketRing;
  private readonly holds: Hold[] = [];
  private listener: (() => void) | null = null;
  private readonly cutter: Cutter | null;

  constructor(
    private readonly inner: Link,
    private readonly clock: Clock,
    options: Partial<FaultOptions> = {},
  ) {
    const faults = { ...noFaults, ...options };
    this.name = inner.name;
    this.mtu = inner.mtu;
    const received = inner.largest ?? inner.mtu;
    this.cutter = inner.offload === true ? new Cutter() : null;
    this.largest = this.cutter === null ? received : inner.mtu;
    this.rxStage = new PacketRing(STAGE_SLOTS, received);
    this.txStage = new PacketRing(STAGE_SLOTS, inner.mtu);
    this.incoming = new Lane('in', faults, this.largest, clock.now());
    this.outgoing = new Lane('out', faults, inner.mtu, clock.now());
    this.counts = { in: this.incoming.counts, out: this.outgoing.counts };
  }

  receive(ring: PacketRing): number {
    const now = this.clock.now();
    this.flush(now);
    let moved = this.incoming.queue.drain(ring, now);
    // Bounded: with a delay the ring stays empty however much the inner link has.
    for (let pulled = 0; ring.free > 0 && pulled < 4 * ring.slots;) {
      const stage = this.rxStage;
      const got = this.inner.receive(stage);
      if (got === 0) break;
      pulled += got;
      for (let i = 0; i < stage.count; i++) {
        moved += this.arrives(stage, i, ring, now);
      }
      this.inner.settle(stage);
      stage.clear();
    }
    return moved;
  }

  /** Packet `i` of the stage, in the segments it stands for; returns how many packets came out. */
  private arrives(stage: PacketRing, i: number, ring: PacketRing, now: number): number {
    const { cutter, incoming } = this;
    const entry = stage.offloads[stage.slotOf(i)]!;
    if (cutter === null || entry === 0) {
      this.enter(incoming, stage.bytes, stage.offsetOf(i), stage.lengthOf(i), now);
      return incoming.queue.drain(ring, now);
    }
    let moved = 0;
    cutter.begin(stage.bytes, stage.offsetOf(i), stage.lengthOf(i), entry);
    for (let length = cutter.next(); length > 0; length = cutter.next()) {
      this.enter(incoming, cutter.bytes, 0, length, now);
      moved += incoming.queue.drain(ring, now);
    }
    return moved;
  }

  settle(): void {}

  /** Counts packets taken from the ring, lost ones included. */
  transmit(ring: PacketRing): number {
    const now = this.clock.now();
    let taken = 0;
    while (taken < ring.count && this.flush(now)) {
      // `flush` left the stage empty; a batch with all its duplicates fits.
      const batch = Math.min(ring.count - taken, STAGE_SLOTS / 2);
      for (let i = 0; i < batch; i++) {
        this.enter(this.outgoing, ring.bytes, ring.offsetOf(taken + i), ring.lengthOf(taken + i), now);
        this.outgoing.queue.drain(this.txStage, now);
      }
      taken += batch;
    }
    ring.drop(taken);
    this.flush(now);
    return taken;
  }

  /** Hands over what is due by `now`: outgoing packets to the inner link; for incoming ones the listener is called. */
  poll(now: number): void {
    this.flush(now);
    if (this.incoming.queue.nextDeadline(now) === 0) this.listener?.();
  }

  /** ms until a packet under way is due, 0 when one is, -1 when there is none. */
  nextDeadline(now: number): number {
    const incoming = this.incoming.queue.nextDeadline(now);
    // While the inner link is busy, being due is no reason to try at once.
    const outgoing = this.txStage.count > 0 ? BUSY_RETRY : this.outgoing.queue.nextDeadline(now);
    return sooner(sooner(incoming, outgoing), this.inner.nextDeadline?.(now) ?? -1);
  }

  /** Keeps back every packet the predicate picks, before any other fault, until released. The oldest hold is asked first. */
  hold(predicate: HoldPredicate): HoldHandle {
    const hold = new Hold(predicate, (released) => {
      this.holds.splice(this.holds.indexOf(hold), 1);
      const now = this.clock.now();
      for (const { lane, bytes } of released) lane.pass(bytes, 0, bytes.length, now, 0);
      if (released.length > 0) this.listener?.();
    });
    this.holds.push(hold);
    return hold;
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

  losses(): Readonly<Record<string, number>> {
    return this.inner.losses?.() ?? {};
  }

  /** What is still under way is lost. */
  close(): void {
    this.listener = null;
    this.inner.close();
  }

  /** One packet enters the wire. */
  private enter(lane: Lane, bytes: Uint8Array, offset: number, length: number, now: number): void {
    for (const hold of this.holds) {
      if (!hold.predicate(bytes, offset, length, lane.direction)) continue;
      if (lane.heldNow >= lane.queue.limit) lane.counts.overflowed++;
      else hold.keep(lane, bytes.slice(offset, offset + length));
      return;
    }
    lane.enter(bytes, offset, length, now);
  }

  /** Moves outgoing packets that are due into the inner link. False: it is busy, and some had to stay. */
  private flush(now: number): boolean {
    for (;;) {
      this.outgoing.queue.drain(this.txStage, now);
      if (this.txStage.count === 0) return true;
      if (this.inner.transmit(this.txStage) === 0) return false;
    }
  }
}

/** One direction: its own random numbers, so that the other one's traffic changes nothing here. */
class Lane {
  readonly counts = new FaultCounts();
  readonly queue: DelayQueue;
  heldNow = 0;
  private readonly prng: Prng;
  private readonly faulty: boolean;

  constructor(
    readonly direction: Direction,
    private readonly faults: FaultOptions,
    mtu: number,
    now: number,
  ) {
    this.queue = new DelayQueue(faults.limit, mtu, now);
    this.prng = new Prng(faults.seed, direction === 'in' ? 1 : 2);
    this.faulty = faults.direction === 'both' || faults.direction === direction;
  }

  /** Decides a packet's fate. The same numbers are drawn for every packet, so one fault's rate does not move the others. */
  enter(bytes: Uint8Array, offset: number, length: number, now: number): void {
    if (!this.faulty) {
      this.pass(bytes, offset, length, now, 0);
      return;
    }
    const { faults, prng, counts } = this;
    const lost = prng.chance(faults.loss);
    const corrupted = prng.chance(faults.corrupt);
    const duplicated = prng.chance(faults.duplicate);
    const reordered = prng.chance(faults.reorder);
    const sway = prng.below(2 * faults.jitter + 1) - faults.jitter;
    const place = prng.below(Math.max(length, 1));
    const flip = 1 + prng.below(255);
    if (lost) {
      counts.lost++;
      return;
    }
    let delay = Math.max(0, faults.delay + sway);
    if (reordered) {
      counts.reordered++;
      delay += faults.reorderDelay;
    }
    // The caller's bytes are not ours to change for good: put back what was there.
    const original = bytes[offset + place]!;
    if (corrupted && length > 0) {
      counts.corrupted++;
      bytes[offset + place] = original ^ flip;
    }
    this.pass(bytes, offset, length, now, delay);
    if (duplicated) {
      counts.duplicated++;
      this.pass(bytes, offset, length, now, delay);
    }
    if (corrupted && length > 0) bytes[offset + place] = original;
  }

  /** Onto the wire, `delay` ms long. */
  pass(bytes: Uint8Array, offset: number, length: number, now: number, delay: number): void {
    if (this.queue.push(bytes, offset, length, now, delay)) this.counts.passed++;
    else this.counts.overflowed++;
  }
}

class Hold implements HoldHandle {
  private packets: { lane: Lane; bytes: Uint8Array }[] = [];
  private active = true;

  constructor(
    readonly predicate: HoldPredicate,
    private readonly done: (released: readonly { lane: Lane; bytes: Uint8Array }[]) => void,
  ) {}

  get held(): number {
    return this.packets.length;
  }

  keep(lane: Lane, bytes: Uint8Array): void {
    lane.counts.held++;
    lane.heldNow++;
    this.packets.push({ lane, bytes });
  }

  release(): number {
    if (!this.active) return 0;
    this.active = false;
    const released = this.packets;
    this.packets = [];
    for (const { lane } of released) lane.heldNow--;
    this.done(released);
    return released.length;
  }
}

/** The earlier of two waits in ms, where -1 means none. */
function sooner(a: number, b: number): number {
  if (a < 0) return b;
  if (b < 0) return a;
  return Math.min(a, b);
}
