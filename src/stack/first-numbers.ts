/**
 * The numbers that a connection begins with: its ISN, and what is added to the clock to make its
 * timestamps. SipHash of the tuple under a secret key gives both, 32 bits each, none of which tells
 * anything of the other, or of another tuple's (as Linux secure_tcp_seq_and_ts_off).
 */
import { OFFSET_HOSTS, OFFSET_NONE, OFFSET_OTHER, OFFSET_TUPLE } from '../timewait/layout.js';
import { deriveKey, type KeyedRandom } from './random.js';
import type { Settings } from './settings.js';
import { SipHash } from './siphash.js';

/** Values of knob net.ipv4.tcp_isn besides 0, RFC 6528. */
const ISN_64_NS = 1;
const ISN_RANDOM = 2;
const ISN_GLOBAL = 3;
const ISN_NO_CLOCK = 4;

/** Value of knob net.ipv4.tcp_timestamp_offset; the others are OFFSET_NONE, OFFSET_TUPLE, OFFSET_HOSTS. */
export const OFFSET_RANDOM = OFFSET_OTHER;

export class FirstNumbers {
  private readonly tuples: SipHash;
  private readonly hosts: SipHash;
  /** What connections added to the clock of ISN_GLOBAL. */
  private counter = 0;
  // The present tuple's
  private isnKey = 0;
  private constantOffset = 0;

  constructor(
    hostSeed: Uint8Array,
    private readonly ctx: { readonly now: number },
    private readonly settings: Settings,
    private readonly random: KeyedRandom,
  ) {
    this.tuples = new SipHash(deriveKey(hostSeed, 1));
    this.hosts = new SipHash(deriveKey(hostSeed, 3));
  }

  /** The tuple that `isn` and `offset` are asked for next. */
  of(
    l0: number,
    l1: number,
    l2: number,
    l3: number,
    r0: number,
    r1: number,
    r2: number,
    r3: number,
    localPort: number,
    remotePort: number,
  ): this {
    this.isnKey = this.tuples.hashTuple(l0, l1, l2, l3, r0, r1, r2, r3, localPort, remotePort, 0);
    const { stampOffset } = this.settings;
    if (stampOffset === OFFSET_TUPLE) this.constantOffset = this.tuples.hi;
    else if (stampOffset === OFFSET_HOSTS)
      this.constantOffset = this.hosts.hashTuple(l0, l1, l2, l3, r0, r1, r2, r3, 0, 0, 0);
    return this;
  }

  /**
   * Knob net.ipv4.tcp_isn: RFC 6528 with M counting 4 microseconds (SHLD-1, MUST-8), the
   * same counting 64 ns (Linux), random (OpenBSD), one counter for all (4.4BSD), or a broken
   * generator that starts every incarnation of a tuple at the same number.
   */
  isn(): number {
    const { now } = this.ctx;
    switch (this.settings.isn) {
      case ISN_RANDOM:
        return this.random.next();
      case ISN_GLOBAL:
        this.counter = (this.counter + 64_000) | 0;
        return (this.counter + Math.imul(now, 250)) | 0;
      case ISN_NO_CLOCK:
        return this.isnKey;
      case ISN_64_NS:
        return (Math.imul(now, 15_625) + this.isnKey) | 0;
      default:
        return (Math.imul(now, 250) + this.isnKey) | 0;
    }
  }

  /**
   * R7323-53: an offset on our timestamps. Keyed by the tuple or by the pair of hosts it is
   * constant while the stack lives, so that reincarnations see a rising clock (R6191-8); a
   * random one for each connection breaks that.
   */
  offset(): number {
    const { stampOffset } = this.settings;
    if (stampOffset === OFFSET_NONE) return 0;
    return stampOffset === OFFSET_RANDOM ? this.random.next() : this.constantOffset;
  }

  /** The offset that all connections of the tuple have, or all of its two hosts. */
  constant(
    ofHosts: boolean,
    l0: number,
    l1: number,
    l2: number,
    l3: number,
    r0: number,
    r1: number,
    r2: number,
    r3: number,
    localPort: number,
    remotePort: number,
  ): number {
    if (ofHosts) return this.hosts.hashTuple(l0, l1, l2, l3, r0, r1, r2, r3, 0, 0, 0);
    this.tuples.hashTuple(l0, l1, l2, l3, r0, r1, r2, r3, localPort, remotePort, 0);
    return this.tuples.hi;
  }
}
