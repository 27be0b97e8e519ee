/**
 * The neighbours of a link: next hop to MAC address, with the states of RFC 4861 7.3.2.
 * Bounded: `limit` entries, of which the longest unused gives way; each keeps at most
 * MOST_WAITING packets while its address is unknown.
 */
import { diff } from '../seqnum.js';

/** Nobody has answered yet; packets wait. */
export const INCOMPLETE = 0;
export const REACHABLE = 1;
/** Known, but not confirmed lately. */
export const STALE = 2;
/** Used while stale: upper layers get DELAY_FIRST_PROBE_TIME before we ask. */
export const DELAY = 3;
export const PROBE = 4;

export const stateNames = ['INCOMPLETE', 'REACHABLE', 'STALE', 'DELAY', 'PROBE'] as const;

/** Packets that wait for one neighbour; the oldest gives way (RFC 4861 7.2.2). */
export const MOST_WAITING = 64;

export class Neighbour {
  state = INCOMPLETE;
  macHigh = 0;
  macLow = 0;
  /** VLAN tag its frames carry, 0 when none: ours to it carry the same. */
  tag = 0;
  /** When the state ends, int32 ms. */
  until = 0;
  /** Solicitations sent in this state. */
  probes = 0;
  /** Last use or confirmation, int32 ms. */
  used = 0;
  readonly waiting: Uint8Array[] = [];
  /** The next with the same hash. */
  next: Neighbour | null = null;

  constructor(
    readonly w0: number,
    readonly w1: number,
    readonly w2: number,
    readonly w3: number,
    readonly hash: number,
  ) {}

  /** It waits for a time: INCOMPLETE, DELAY and PROBE. REACHABLE becomes STALE when it is looked at. */
  get timed(): boolean {
    return this.state === INCOMPLETE || this.state === DELAY || this.state === PROBE;
  }

  is(w0: number, w1: number, w2: number, w3: number): boolean {
    return this.w3 === w3 && this.w2 === w2 && this.w1 === w1 && this.w0 === w0;
  }
}

export class NeighbourTable {
  size = 0;
  private readonly chains = new Map<number, Neighbour>();
  /** The one found last: packets come in runs. */
  private recent: Neighbour | null = null;

  /** `secret`: so that nobody aims collisions. */
  constructor(
    private readonly limit: number,
    private readonly secret: number,
  ) {}

  find(w0: number, w1: number, w2: number, w3: number): Neighbour | null {
    if (this.recent?.is(w0, w1, w2, w3) === true) return this.recent;
    let entry = this.chains.get(this.hash(w0, w1, w2, w3)) ?? null;
    while (entry !== null && !entry.is(w0, w1, w2, w3)) entry = entry.next;
    if (entry !== null) this.recent = entry;
    return entry;
  }

  /** A new entry; when the table is full the longest unused goes, handed to `evicted`. */
  add(
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    now: number,
    evicted: (gone: Neighbour) => void,
  ): Neighbour {
    if (this.size >= this.limit) {
      const gone = this.longestUnused(now);
      this.delete(gone);
      evicted(gone);
    }
    const entry = new Neighbour(w0, w1, w2, w3, this.hash(w0, w1, w2, w3));
    entry.used = now;
    entry.next = this.chains.get(entry.hash) ?? null;
    this.chains.set(entry.hash, entry);
    this.size++;
    return entry;
  }

  delete(entry: Neighbour): void {
    const first = this.chains.get(entry.hash)!;
    if (first === entry) {
      if (entry.next === null) this.chains.delete(entry.hash);
      else this.chains.set(entry.hash, entry.next);
    } else {
      let before = first;
      while (before.next !== entry) before = before.next!;
      before.next = entry.next;
    }
    if (this.recent === entry) this.recent = null;
    this.size--;
  }

  *entries(): Generator<Neighbour> {
    for (const first of this.chains.values())
      for (let entry: Neighbour | null = first; entry !== null; entry = entry.next) yield entry;
  }

  private longestUnused(now: number): Neighbour {
    let oldest: Neighbour | null = null;
    for (const entry of this.entries())
      if (oldest === null || diff(now, entry.used) > diff(now, oldest.used)) oldest = entry;
    return oldest!;
  }

  private hash(w0: number, w1: number, w2: number, w3: number): number {
    let h = this.secret;
    h = Math.imul(h ^ w0, 0x9e3779b1);
    h = Math.imul(h ^ (h >>> 15) ^ w1, 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13) ^ w2, 0xc2b2ae35);
    h = Math.imul(h ^ (h >>> 16) ^ w3, 0x27d4eb2f);
    return h ^ (h >>> 15);
  }
}
