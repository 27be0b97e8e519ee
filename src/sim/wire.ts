/**
 * A wire between two stations: delay, rate, a queue, loss, overtaking, doubling, and
 * packets held back by predicate until somebody releases them. Each direction has its
 * own random numbers, so traffic one way changes nothing the other way.
 *
 * Memory: `queue` packets per direction; more are lost and counted.
 */
import { IpHeader } from '../wire/ip.js';
import { Segment } from '../wire/segment.js';
import type { Prng } from '../link/prng.js';
import type { Actor, Station, Surroundings, WireEnd } from './parts.js';

export interface WireOptions {
  /** ms one way; default 1. */
  readonly delay?: number;
  /** ms, evenly more or less; default 0. */
  readonly jitter?: number;
  /** Bits per second; default no limit. */
  readonly rate?: number;
  /** Packets under way in one direction; default 65536. */
  readonly queue?: number;
  /** Probabilities 0..1 of each packet. */
  readonly loss?: number;
  readonly duplicate?: number;
  readonly reorder?: number;
  /** ms a reordered packet stays behind; default 5. */
  readonly reorderDelay?: number;
}

/** `segment` is valid during the call only; `from` is the name of the sending station. */
export type PacketTest = (segment: Segment, from: string) => boolean;

/** Packets taken off the wire. */
export interface Held {
  /** How many there are now. */
  readonly count: number;
  /** Copies of them, oldest first. */
  readonly packets: readonly Uint8Array[];
  /** Takes no more, and what was held goes on its way now. */
  release(): void;
  /** Takes no more, and what was held is lost. */
  drop(): void;
}

class End implements WireEnd {
  private readonly lane: Lane;

  constructor(
    readonly wire: Wire,
    readonly station: Station,
    lane: Lane,
  ) {
    this.lane = lane;
  }

  send(packet: Uint8Array): void {
    this.wire.enter(this.lane, packet);
  }
}

interface Flying {
  readonly at: number;
  readonly packet: Uint8Array;
}

/** One direction. */
class Lane {
  /** Sorted by arrival. */
  readonly flying: Flying[] = [];
  private head = 0;
  /** When the last bit of the packet before has left. */
  free = 0;

  constructor(
    readonly from: Station,
    readonly random: Prng,
  ) {}

  get count(): number {
    return this.flying.length - this.head;
  }

  get due(): number {
    return this.head < this.flying.length ? this.flying[this.head]!.at : Infinity;
  }

  push(at: number, packet: Uint8Array): void {
    const { flying } = this;
    let place = flying.length;
    while (place > this.head && flying[place - 1]!.at > at) place--;
    if (place === flying.length) flying.push({ at, packet });
    else flying.splice(place, 0, { at, packet });
  }

  shift(): Uint8Array {
    const { packet } = this.flying[this.head]!;
    this.head++;
    if (this.head > 1024 && this.head * 2 > this.flying.length) {
      this.flying.splice(0, this.head);
      this.head = 0;
    }
    return packet;
  }
}

export class Wire implements Actor {
  readonly counts = { passed: 0, lost: 0, duplicated: 0, reordered: 0, overflowed: 0, held: 0 };
  private readonly lanes: readonly [Lane, Lane];
  private readonly ends: readonly [End, End];
  private readonly holds: Hold[] = [];
  private readonly ip = new IpHeader();
  private readonly segment = new Segment();
  private readonly options: Required<WireOptions>;

  constructor(
    private readonly surroundings: Surroundings,
    a: Station,
    b: Station,
    options: WireOptions,
  ) {
    const defaults = { delay: 1, jitter: 0, rate: Infinity, queue: 65_536, reorderDelay: 5 };
    this.options = { ...defaults, loss: 0, duplicate: 0, reorder: 0, ...options };
    this.lanes = [new Lane(a, surroundings.stream()), new Lane(b, surroundings.stream())];
    this.ends = [new End(this, a, this.lanes[0]), new End(this, b, this.lanes[1])];
    a.plug(this.ends[0]);
    b.plug(this.ends[1]);
  }

  get due(): number {
    return Math.min(this.lanes[0].due, this.lanes[1].due);
  }

  act(now: number): void {
    const first = this.lanes[0].due <= this.lanes[1].due ? 0 : 1;
    const lane = this.lanes[first];
    if (lane.due > now) return;
    const packet = lane.shift();
    this.counts.passed++;
    const end = this.ends[1 - first]!;
    end.station.arrive(end, packet);
  }

  /** Takes packets that match off the wire from now on, both directions. */
  hold(test: PacketTest, most = 1024): Held {
    const hold = new Hold(this, test, most);
    this.holds.push(hold);
    return hold;
  }

  /** Loses packets that match from now on; the returned function ends it. */
  lose(test: PacketTest): () => void {
    const hold = new Hold(this, test, 0);
    this.holds.push(hold);
    return () => hold.drop();
  }

  enter(lane: Lane, packet: Uint8Array): void {
    if (this.holds.length > 0 && this.withheld(lane, packet)) return;
    this.pass(lane, packet);
  }

  /** Onto the wire, past the holds. */
  pass(lane: Lane, packet: Uint8Array): void {
    const { options, counts } = this;
    const { random } = lane;
    // The same numbers are drawn for every packet, so one rate does not move the others.
    const lost = random.chance(options.loss);
    const doubled = random.chance(options.duplicate);
    const late = random.chance(options.reorder);
    const sway = options.jitter * (2 * random.fraction() - 1);
    if (lost) {
      counts.lost++;
      return;
    }
    if (lane.count >= options.queue) {
      counts.overflowed++;
      return;
    }
    const { now } = this.surroundings;
    lane.free = Math.max(lane.free, now) + (8000 * packet.length) / options.rate;
    const at = lane.free + Math.max(0, options.delay + sway) + (late ? options.reorderDelay : 0);
    if (late) counts.reordered++;
    lane.push(at, packet);
    if (doubled) {
      counts.duplicated++;
      lane.push(at, packet.slice());
    }
  }

  forget(hold: Hold): void {
    this.holds.splice(this.holds.indexOf(hold), 1);
  }

  private withheld(lane: Lane, packet: Uint8Array): boolean {
    if (this.ip.load(packet, 0, packet.length) !== 0 || this.ip.protocol !== 6) return false;
    if (this.segment.load(this.ip, false) !== 0) return false;
    for (const hold of this.holds) {
      if (!hold.test(this.segment, lane.from.name)) continue;
      this.counts.held++;
      hold.keep(lane, packet);
      return true;
    }
    return false;
  }
}

class Hold implements Held {
  private kept: { readonly lane: Lane; readonly packet: Uint8Array }[] = [];

  constructor(
    private readonly wire: Wire,
    readonly test: PacketTest,
    private readonly most: number,
  ) {}

  get count(): number {
    return this.kept.length;
  }

  get packets(): readonly Uint8Array[] {
    return this.kept.map(({ packet }) => packet.slice());
  }

  keep(lane: Lane, packet: Uint8Array): void {
    if (this.kept.length < this.most) this.kept.push({ lane, packet });
  }

  release(): void {
    const released = this.kept;
    this.drop();
    for (const { lane, packet } of released) this.wire.pass(lane, packet);
  }

  drop(): void {
    this.kept = [];
    this.wire.forget(this);
  }
}
