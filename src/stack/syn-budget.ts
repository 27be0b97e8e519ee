/**
 * How many SYN cookies go out: knob tcp_syn_cookie_rate. One costs several times what it costs to drop the SYN, so a
 * stack that answers a flood has no time left for those it is there for, and sends as much as it gets to
 * whoever was named as its source. Beyond the rate only proven peers are answered: as many again in all,
 * and each of them no more than a SHARE of it, as their addresses can be forged, too.
 */
import { SynSource, bareSyn } from '../wire/bare-syn.js';
import type { Segment } from '../wire/segment.js';
import { ProvenPeers, WINDOW } from './proven-peers.js';

/** A proven peer has at most a 32nd of the rate to itself. */
const SHARE = 32;
/** Thousandths of an answer: what a rate of 1 a second gives each ms. */
const ANSWER = 1000;
/** What was not used in so many ms may be used at once. */
const SAVED = 20;

/** Tokens that come at a rate and are taken one by one. */
class Allowance {
  private left = Infinity;
  private at = 0;

  take(rate: number, now: number): boolean {
    const passed = Math.min((now - this.at) >>> 0, SAVED);
    this.at = now;
    this.left = Math.min(this.left + passed * rate, SAVED * rate);
    if (this.left < ANSWER) return false;
    this.left -= ANSWER;
    return true;
  }
}

export class SynBudget {
  readonly peers: ProvenPeers;
  private readonly all = new Allowance();
  private readonly proven = new Allowance();
  /** The last SYN that was refused: when, and where it went; valid while `refused`. */
  private refused = false;
  private at = 0;
  private dst0 = 0;
  private dst1 = 0;
  private dst2 = 0;
  private dst3 = 0;
  private port = 0;
  private readonly source = new SynSource();

  constructor(key: Uint8Array) {
    this.peers = new ProvenPeers(key);
  }

  /** May this SYN be answered with a cookie? That it is counts. `rate`: a second, 0: any number. */
  take(s: Segment, rate: number, now: number): boolean {
    if (rate === 0 || this.all.take(rate, now)) return true;
    const share = Math.ceil((rate * WINDOW) / (1000 * SHARE));
    if (this.peers.mayAnswer(s.src0, s.src1, s.src2, s.src3, share, now) && this.proven.take(rate, now))
      return true;
    this.refused = true;
    this.at = now;
    this.dst0 = s.dst0;
    this.dst1 = s.dst1;
    this.dst2 = s.dst2;
    this.dst3 = s.dst3;
    this.port = s.dstPort;
    return false;
  }

  /**
   * Is this packet one more SYN for where one was refused in this millisecond, and from no proven peer? Then the same would
   * come of it, but for what is wrong with it otherwise. In a flood this is asked first: it takes a quarter of
   * the time that reading, checking and looking up the segment does (measured, npm run bench -- flood).
   */
  isOneMore(bytes: Uint8Array, offset: number, length: number, now: number): boolean {
    if (!this.refused) return false;
    if (now !== this.at) return (this.refused = false);
    const { source, dst0, dst1, dst2, dst3, port } = this;
    return (
      bareSyn(bytes, offset, length, dst0, dst1, dst2, dst3, port, source) &&
      !this.peers.isProven(source.src0, source.src1, source.src2, source.src3, now)
    );
  }
}
