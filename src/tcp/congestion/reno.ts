/** RFC 5681 with the byte counting of RFC 3465. */
import type { Counters } from '../../mib.js';
import { UNLIMITED, type CongestionControl, type PathFacts } from './control.js';

export class NewReno implements CongestionControl {
  readonly name: string = 'newreno';
  cwnd = 0;
  ssthresh = UNLIMITED;
  slowStartLimit = 2;
  /** Before the last reduction, for `undo`. */
  protected priorCwnd = 0;
  protected priorSsthresh = 0;
  /** Bytes acknowledged in congestion avoidance since cwnd grew last. */
  private counted = 0;

  start(window: number): void {
    this.cwnd = window;
    this.ssthresh = UNLIMITED;
    this.counted = 0;
  }

  acked(bytes: number, path: PathFacts): void {
    const left = this.cwnd < this.ssthresh ? this.slowStart(bytes, path.mss) : bytes;
    if (left > 0) this.avoid(left, path);
  }

  /** R5681-12, R3465-1: by what was acknowledged, at most L segments. Returns the bytes beyond ssthresh. */
  private slowStart(bytes: number, mss: number): number {
    const grown = this.cwnd + Math.min(bytes, this.slowStartLimit * mss);
    // R5681-11: exponential up to ssthresh
    this.cwnd = Math.min(grown, this.ssthresh);
    return grown - this.cwnd;
  }

  /** R5681-13, R5681-14: one segment for each window of acknowledged bytes. */
  protected avoid(bytes: number, { mss }: PathFacts): void {
    this.counted += bytes;
    while (this.counted >= this.cwnd) {
      this.counted -= this.cwnd;
      this.cwnd += mss;
    }
  }

  held(_now: number): void {
    this.counted = 0;
  }

  measured(_path: PathFacts, _counters: Counters): void {}

  idle(_since: number, now: number): void {
    this.held(now);
  }

  reduce(flight: number, { mss }: PathFacts): void {
    this.remember();
    // R5681-25: FlightSize, not cwnd
    this.ssthresh = Math.max(flight >> 1, 2 * mss);
    this.counted = 0;
  }

  timeout(flight: number, path: PathFacts, again: boolean): void {
    // R5681-16, R5681-17: ssthresh stays when the same segment times out again
    if (!again) this.reduce(flight, path);
    // R5681-18: loss window of one segment
    this.cwnd = path.mss;
    this.counted = 0;
  }

  undo(): void {
    if (this.priorCwnd === 0) return;
    this.cwnd = Math.max(this.cwnd, this.priorCwnd);
    this.ssthresh = Math.max(this.ssthresh, this.priorSsthresh);
    this.priorCwnd = 0;
  }

  protected remember(): void {
    this.priorCwnd = this.cwnd;
    this.priorSsthresh = this.ssthresh;
  }
}
