/**
 * Our own addresses on an Ethernet: whose they are is asked before they are used
 * (RFC 4862 5.4 for IPv6, RFC 5227 for IPv4), and defended afterwards. Time in, "send this"
 * out; what is sent is the business of neighbours.ts.
 */
import { add, diff } from '../seqnum.js';
import { formatWords } from '../wire/address.js';
import type { Prng } from './prng.js';

/** RFC 5227 1.1, ms. */
const PROBE_WAIT = 1000;
const PROBE_NUM = 3;
const PROBE_MIN = 1000;
const PROBE_MAX = 2000;
const ANNOUNCE_WAIT = 2000;
const ANNOUNCE_NUM = 2;
const ANNOUNCE_INTERVAL = 2000;
const DEFEND_INTERVAL = 10_000;
/** RFC 4862 5.1, 5.4.2 and RFC 4861 10. */
const DUP_ADDR_DETECT_TRANSMITS = 1;
const RETRANS_TIMER = 1000;
const MAX_RTR_SOLICITATION_DELAY = 1000;

export const TENTATIVE = 0;
export const PREFERRED = 1;
/** Somebody else has it. */
export const DUPLICATE = 2;

/** What an address has to send. */
export const NOTHING = 0;
export const ASK = 1;
export const ANNOUNCE = 2;

export interface OwnPrefix {
  /** Four int32 words, IPv4 held IPv4-mapped. */
  readonly words: Int32Array;
  readonly family: 4 | 6;
  /** Length of the prefix that is on the link, of 32 or 128. */
  readonly prefix: number;
}

export class OwnAddress {
  readonly words: Int32Array;
  readonly family: 4 | 6;
  /** Of the 128 bits that `words` have. */
  readonly prefix: number;
  state = TENTATIVE;
  /** Who else has it, once somebody does. */
  otherHigh = 0;
  otherLow = 0;
  /** Claims of others since it became ours. */
  conflicts = 0;
  /** When there is something to do; meaningless when `idle`. */
  private at = 0;
  private asked = 0;
  private announced = 0;
  private idle = false;
  private defended: number | null = null;

  constructor(own: OwnPrefix, now: number, detect: boolean, random: Prng) {
    this.words = own.words;
    this.family = own.family;
    this.prefix = own.family === 4 ? own.prefix + 96 : own.prefix;
    this.at = now;
    if (detect)
      this.at = add(
        now,
        Math.floor(random.fraction() * (this.family === 4 ? PROBE_WAIT : MAX_RTR_SOLICITATION_DELAY)),
      );
    else this.state = PREFERRED;
  }

  get text(): string {
    return formatWords(this.words[0]!, this.words[1]!, this.words[2]!, this.words[3]!);
  }

  /** ms until `due` has something to say, -1 for never. */
  wait(now: number): number {
    return this.idle ? -1 : Math.max(0, diff(this.at, now));
  }

  /** What is to be sent now. */
  due(now: number, random: Prng): number {
    if (this.idle || diff(this.at, now) > 0) return NOTHING;
    if (this.state === TENTATIVE) {
      const most = this.family === 4 ? PROBE_NUM : DUP_ADDR_DETECT_TRANSMITS;
      if (this.asked < most) {
        this.asked++;
        this.at = add(now, this.pause(this.asked === most, random));
        return ASK;
      }
      this.state = PREFERRED;
    }
    // RFC 5227 2.3; RFC 4861 7.2.6 lets a node do the same.
    this.announced++;
    this.at = add(now, ANNOUNCE_INTERVAL);
    this.idle = this.announced >= ANNOUNCE_NUM;
    return ANNOUNCE;
  }

  private pause(last: boolean, random: Prng): number {
    if (this.family === 6) return RETRANS_TIMER;
    return last ? ANNOUNCE_WAIT : PROBE_MIN + Math.floor(random.fraction() * (PROBE_MAX - PROBE_MIN));
  }

  /** Somebody else uses it, or asks whether it may. True when it is to be defended with an announcement. */
  claimed(high: number, low: number, now: number): boolean {
    this.otherHigh = high;
    this.otherLow = low;
    if (this.state === TENTATIVE) {
      this.state = DUPLICATE;
      this.idle = true;
    }
    if (this.state === DUPLICATE) return false;
    this.conflicts++;
    // RFC 5227 2.4 (b): one defence in ten seconds. Note: a second conflict within them does not make us cease.
    if (this.defended !== null && diff(now, this.defended) < DEFEND_INTERVAL) return false;
    this.defended = now;
    return true;
  }
}
