import { after } from '../seqnum.js';

/**
 * Round-trip estimator and retransmission timeout (RFC 6298).
 *
 * Times in ms. SRTT is kept times 8 and RTTVAR times 4, so that the gains 1/8 and
 * 1/4 of RFC 6298 2.3 are shifts and nothing is lost to rounding. Clock
 * granularity G is 1 ms.
 */
export class RttEstimator {
  /** SRTT * 8, RTTVAR * 4; 0 before the first sample. */
  srtt8 = 0;
  rttvar4 = 0;
  /** RTO without back-off, clamped to [min, max]. */
  base = 0;
  /** How often the timer expired in a row: RTO = base << backoff. */
  backoff = 0;
  private sampled = false;
  private low = 0;
  private high = 0;
  /** As Linux: `low` bounds the variance term (dialect.boundsVariance). */
  private variance = false;
  /** Mean deviation * 4 and its maximum in this round trip, which ends when `roundEnd` is acknowledged. */
  private deviation4 = 0;
  private worst4 = 0;
  private roundEnd = 0;

  reset(initial: number, low: number, high: number, variance: boolean): void {
    this.srtt8 = 0;
    this.rttvar4 = 0;
    this.sampled = false;
    this.base = initial;
    this.backoff = 0;
    this.low = low;
    this.high = high;
    this.variance = variance;
  }

  /** The RTO in force, ms. RFC 6298 5.5: doubled at each expiry, bounded by the maximum. */
  get rto(): number {
    const doubled = this.base * (1 << Math.min(this.backoff, 16));
    return doubled < this.high ? doubled : this.high;
  }

  get srtt(): number {
    return this.srtt8 >> 3;
  }

  /** As TCP_INFO has it: Linux shows the mean deviation, not what its RTO is made of. */
  get rttvar(): number {
    return (this.variance ? this.deviation4 : this.rttvar4) >> 2;
  }

  /**
   * Takes one measurement of `rtt` ms (never from a retransmitted segment: Karn, R6298-9) that
   * an ACK of everything before `una` gave while everything before `nxt` was sent.
   */
  sample(rtt: number, una: number, nxt: number): void {
    const r = rtt < 0 ? 0 : rtt;
    if (this.variance) this.smoothVariance(r, una, nxt);
    else this.smooth(r);
    // R6298-11: the variance term is at least G = 1 ms
    const rto = (this.srtt8 >> 3) + (this.rttvar4 > 1 ? this.rttvar4 : 1);
    this.base = rto < this.low ? this.low : rto > this.high ? this.high : rto;
    // R6298-21: a fresh sample ends the back-off
    this.backoff = 0;
  }

  private smooth(r: number): void {
    if (!this.sampled) {
      // R6298-4: first sample
      this.sampled = true;
      this.srtt8 = r << 3;
      this.rttvar4 = r << 1;
      return;
    }
    // R6298-5: RTTVAR first, with the old SRTT
    const error = r - (this.srtt8 >> 3);
    this.rttvar4 += (error < 0 ? -error : error) - (this.rttvar4 >> 2);
    this.srtt8 += error;
  }

  /** Linux tcp_rtt_estimator: RTTVAR follows the largest deviation of a round trip, up at once, down by a quarter. */
  private smoothVariance(r: number, una: number, nxt: number): void {
    if (!this.sampled) {
      this.sampled = true;
      this.srtt8 = r << 3;
      this.deviation4 = r << 1;
      this.rttvar4 = Math.max(this.deviation4, this.low);
      this.worst4 = this.rttvar4;
      this.roundEnd = nxt;
      return;
    }
    const error = r - (this.srtt8 >> 3);
    this.srtt8 += error;
    let excess = (error < 0 ? -error : error) - (this.deviation4 >> 2);
    // A shorter round trip is no reason to wait longer.
    if (error < 0 && excess > 0) excess >>= 3;
    this.deviation4 += excess;
    if (this.deviation4 > this.worst4) {
      this.worst4 = this.deviation4;
      if (this.worst4 > this.rttvar4) this.rttvar4 = this.worst4;
    }
    if (!after(una, this.roundEnd)) return;
    if (this.worst4 < this.rttvar4) this.rttvar4 -= (this.rttvar4 - this.worst4) >> 2;
    this.roundEnd = nxt;
    this.worst4 = this.low;
  }
}
