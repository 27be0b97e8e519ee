/**
 * Addresses that have completed a handshake lately: nobody else can have sent its last ACK, so that they are told
 * from the invented ones of a flood (Linux tcp_peer_is_proven). IPv6 goes by the /64, within which a
 * host may call itself what it likes.
 *
 * Entries of four words in sets of eight: 64 bits of a keyed hash, so that nobody can aim at a set or pass for an
 * entry; the time of the handshake; answers given in the present window. A set that overflows makes the
 * table twice as large; at its limit the entry of the oldest handshake gives way.
 *
 * Memory: 16 bytes an entry, of 1 KiB up to 1 MiB for 65,536.
 */
import { SipHash } from './siphash.js';

const WORDS = 4;
const WAYS = 8;
const SET = WORDS * WAYS;
const FIRST_SETS = 8;
export const MOST_PEERS = 65_536;
/** ms; Linux TCP_METRICS_TIMEOUT. */
export const PROVEN_FOR = 3_600_000;

/** Words of an entry. A hash of 0 and 0 is no entry. */
const LO = 0;
const HI = 1;
const AT = 2;
const GIVEN = 3;
/** A window is 2^6 ms; GIVEN has its number above the count of its answers. */
const WINDOW_BITS = 6;
export const WINDOW = 1 << WINDOW_BITS;
const COUNT_BITS = 12;
const COUNT_MASK = (1 << COUNT_BITS) - 1;

export class ProvenPeers {
  private readonly hash: SipHash;
  private entries = new Int32Array(FIRST_SETS * SET);
  private count = 0;

  constructor(key: Uint8Array) {
    this.hash = new SipHash(key, 1, 3);
  }

  get size(): number {
    return this.count;
  }

  /** A handshake with this address is complete. */
  prove(w0: number, w1: number, w2: number, w3: number, now: number): void {
    this.name(w0, w1, w2, w3);
    const { lo, hi } = this.hash;
    let at = this.place(lo, hi);
    if (at < 0) {
      at = this.oldest(lo, now);
      while (!this.isFree(at, now) && this.entries.length < MOST_PEERS * WORDS) {
        this.grow();
        at = this.oldest(lo, now);
      }
      if (this.isEmpty(at)) this.count++;
      this.entries[at + LO] = lo;
      this.entries[at + HI] = hi;
      this.entries[at + GIVEN] = 0;
    }
    this.entries[at + AT] = now;
  }

  isProven(w0: number, w1: number, w2: number, w3: number, now: number): boolean {
    this.name(w0, w1, w2, w3);
    const at = this.place(this.hash.lo, this.hash.hi);
    return at >= 0 && !this.isOver(at, now);
  }

  /** Is it one of them, and has had fewer than `most` answers in this window? This is one more. */
  mayAnswer(w0: number, w1: number, w2: number, w3: number, most: number, now: number): boolean {
    this.name(w0, w1, w2, w3);
    const { entries } = this;
    const at = this.place(this.hash.lo, this.hash.hi);
    if (at < 0 || this.isOver(at, now)) return false;
    const window = (now >>> WINDOW_BITS) << COUNT_BITS;
    const given = entries[at + GIVEN]!;
    const count = (given & ~COUNT_MASK) === window ? given & COUNT_MASK : 0;
    if (count >= Math.min(most, COUNT_MASK)) return false;
    entries[at + GIVEN] = window | (count + 1);
    return true;
  }

  /** Leaves the address's hash in `hash`. */
  private name(w0: number, w1: number, w2: number, w3: number): void {
    if (w0 === 0 && w1 === 0 && w2 === 0xffff) this.hash.hashWords(w2, w3);
    else this.hash.hashWords(w0, w1);
  }

  private isEmpty(at: number): boolean {
    return this.entries[at + LO] === 0 && this.entries[at + HI] === 0;
  }

  private isOver(at: number, now: number): boolean {
    return this.age(at, now) >= PROVEN_FOR;
  }

  private isFree(at: number, now: number): boolean {
    return this.isEmpty(at) || this.isOver(at, now);
  }

  /** ms since its handshake. */
  private age(at: number, now: number): number {
    return (now - this.entries[at + AT]!) >>> 0;
  }

  private setOf(lo: number): number {
    return (lo & (this.entries.length / SET - 1)) * SET;
  }

  /** Of the entry with this hash; -1: there is none. */
  private place(lo: number, hi: number): number {
    const { entries } = this;
    const set = this.setOf(lo);
    for (let at = set; at < set + SET; at += WORDS)
      if (entries[at + LO] === lo && entries[at + HI] === hi) return at;
    return -1;
  }

  /** The entry of its set that is to give way: an empty one, else that of the oldest handshake. */
  private oldest(lo: number, now: number): number {
    const set = this.setOf(lo);
    let oldest = set;
    for (let at = set; at < set + SET; at += WORDS) {
      if (this.isEmpty(at)) return at;
      if (this.age(at, now) > this.age(oldest, now)) oldest = at;
    }
    return oldest;
  }

  /** Twice the sets: what is in one goes to its place or to that of the new half. */
  private grow(): void {
    const before = this.entries;
    this.entries = new Int32Array(2 * before.length);
    for (let from = 0; from < before.length; from += WORDS) {
      const lo = before[from + LO]!;
      if (lo === 0 && before[from + HI] === 0) continue;
      let to = this.setOf(lo);
      while (!this.isEmpty(to)) to += WORDS;
      for (let word = 0; word < WORDS; word++) this.entries[to + word] = before[from + word]!;
    }
  }
}
