/**
 * SYN cookies (RFC 4987 3.6 and appendix A) as Linux lays them out: when the queue of half-open
 * connections is full, the SYN,ACK's sequence number is all that is kept of a SYN.
 *
 *     ISN = hash(tuple) + SEG.SEQ + (count << 24) + ((hash(tuple, count) + MSS index) mod 2^24)
 *
 * `count` goes on every 65.536 s, so that it wraps together with the clock. Window scale, SACK and
 * ECN live in the low bits of the timestamp that the client echoes (R4987-4).
 */
import { Tcb } from '../tcp/tcb.js';
import type { Segment } from '../wire/segment.js';
import { deriveKey } from './random.js';
import { SipHash } from './siphash.js';

/** One step of `count` is 2^16 ms; a cookie is good for the step it was made in and the next. */
const STEP_BITS = 16;
const STEPS = 2;
/** How long a cookie may come back, ms. */
export const COOKIE_LIFE = STEPS << STEP_BITS;
const HASH_BITS = 24;
const HASH_MASK = 2 ** HASH_BITS - 1;

/** MSS that a cookie can say, by index: the largest that is not above the client's (R4987-4). */
export const MSS_V4 = [536, 1300, 1440, 1460];
export const MSS_V6 = [1220, 1420, 1440, 8940];

/** The two keyed hashes of one stack, and the block its stateless answers are written from. */
export class SynCookies {
  private readonly outer: SipHash;
  private readonly inner: SipHash;
  readonly scratch = new Tcb();

  constructor(seed: Uint8Array) {
    this.outer = new SipHash(deriveKey(seed, 7));
    this.inner = new SipHash(deriveKey(seed, 8));
  }

  private static hash(key: SipHash, s: Segment, extra: number): number {
    const { dst0, dst1, dst2, dst3, src0, src1, src2, src3, dstPort, srcPort } = s;
    return key.hashTuple(dst0, dst1, dst2, dst3, src0, src1, src2, src3, dstPort, srcPort, extra);
  }

  make(s: Segment, seq: number, index: number, now: number): number {
    const count = now >>> STEP_BITS;
    const data = (SynCookies.hash(this.inner, s, count) + index) & HASH_MASK;
    return (SynCookies.hash(this.outer, s, 0) + seq + (count << HASH_BITS) + data) | 0;
  }

  /** The MSS index, -1: no cookie of ours, or one that is too old. */
  check(s: Segment, cookie: number, seq: number, now: number): number {
    const rest = (cookie - SynCookies.hash(this.outer, s, 0) - seq) | 0;
    const count = now >>> STEP_BITS;
    const age = (count - (rest >>> HASH_BITS)) & 0xff;
    if (age >= STEPS) return -1;
    const index = (rest - SynCookies.hash(this.inner, s, (count - age) & 0xffff)) & HASH_MASK;
    return index < MSS_V4.length ? index : -1;
  }
}
