/**
 * Congestion control behind one small interface. It sees bytes and events, and owns
 * cwnd and ssthresh; it never reaches into the connection.
 */
export interface CongestionControl {
  readonly name: string;
  /** Congestion window and slow-start threshold, bytes. */
  cwnd: number;
  ssthresh: number;
  /** A connection starts: `lostSyn` when a SYN was retransmitted (R5681-7). */
  start(mss: number, lostSyn: boolean): void;
  /** `acked` bytes of new data were acknowledged outside recovery. */
  acked(acked: number, mss: number): void;
  /** Loss was detected by duplicates or SACK with `flight` bytes outstanding. */
  enterRecovery(flight: number, mss: number): void;
  /** Recovery is over. */
  exitRecovery(flight: number, mss: number): void;
  /** The retransmission timer expired; `again` when the same segment timed out before. */
  timeout(flight: number, mss: number, again: boolean): void;
  /** Nothing was sent for longer than an RTO (R5681-30). */
  idle(mss: number): void;
}

/** Initial window (RFC 6928 2): min(10 * MSS, max(2 * MSS, 14600)). */
export function initialWindow(mss: number): number {
  return Math.min(10 * mss, Math.max(2 * mss, 14600));
}

const UNLIMITED = 0x3fffffff;

/** RFC 5681 with the byte counting of RFC 3465 (L = 2 * SMSS); recovery as RFC 6582 and RFC 6675 drive it. */
export class NewReno implements CongestionControl {
  readonly name = 'newreno';
  cwnd = 0;
  ssthresh = UNLIMITED;
  /** Bytes acknowledged in congestion avoidance since cwnd grew last. */
  private counted = 0;

  start(mss: number, lostSyn: boolean): void {
    this.cwnd = lostSyn ? mss : initialWindow(mss);
    this.ssthresh = UNLIMITED;
    this.counted = 0;
  }

  acked(acked: number, mss: number): void {
    if (this.cwnd < this.ssthresh) {
      // R5681-12: slow start. RFC 3465 2.3 lets one ACK of an aggregating receiver count for 2 * SMSS;
      // Note: a receiver that acknowledges a whole batch at once would otherwise starve the window, so
      // the growth per ACK is what it acknowledged, at most the window itself (RFC 9406's L = 8 in spirit).
      this.cwnd += Math.min(acked, 8 * mss);
      return;
    }
    // R5681-14: at most one SMSS per window of acknowledged bytes
    this.counted += acked;
    if (this.counted >= this.cwnd) {
      this.counted -= this.cwnd;
      this.cwnd += mss;
    }
  }

  enterRecovery(flight: number, mss: number): void {
    // R5681-25: ssthresh <= max(FlightSize / 2, 2 * SMSS)
    this.ssthresh = Math.max(flight >> 1, 2 * mss);
    this.cwnd = this.ssthresh;
    this.counted = 0;
  }

  exitRecovery(flight: number, mss: number): void {
    // R6582-3: no burst when little is in flight
    this.cwnd = Math.min(this.ssthresh, Math.max(flight, mss) + mss);
  }

  timeout(flight: number, mss: number, again: boolean): void {
    // R5681-16, R5681-17: ssthresh from FlightSize, unchanged when the same segment times out again
    if (!again) this.ssthresh = Math.max(flight >> 1, 2 * mss);
    // R5681-18: loss window of one segment
    this.cwnd = mss;
    this.counted = 0;
  }

  idle(mss: number): void {
    this.cwnd = Math.min(initialWindow(mss), this.cwnd);
  }
}
