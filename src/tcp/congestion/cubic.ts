/**
 * CUBIC (RFC 9438). Windows of the formulas count in segments, times in seconds; what
 * cwnd cannot hold of a segment's fraction is kept in `exact`.
 */
import { type PathFacts } from './control.js';
import { NewReno } from './reno.js';

/** R9438-1, R9438-7 */
const C = 0.4;
const BETA = 0.7;
/** R9438-5: 3 * (1 - beta) / (1 + beta) */
const FRIENDLY = (3 * (1 - BETA)) / (1 + BETA);

export class Cubic extends NewReno {
  override readonly name = 'cubic';
  /** W_max, K and cwnd_prior; the stage began at `epoch`. */
  private wMax = 0;
  private k = 0;
  private origin = 0;
  private wBefore = 0;
  private wEst = 0;
  private epoch = 0;
  private staged = false;
  /** Last moment at which cwnd was the limit, int32 ms. */
  private lastAt = 0;
  /** cwnd with its fraction, bytes. */
  private exact = 0;
  private priorMax = 0;
  private priorK = 0;
  private priorOrigin = 0;
  private priorEpoch = 0;
  private priorEst = 0;
  private priorStaged = false;

  override start(window: number): void {
    super.start(window);
    this.wMax = 0;
    this.wBefore = 0;
    this.staged = false;
  }

  override acked(bytes: number, path: PathFacts): void {
    if (this.staged) this.lastAt = path.now;
    super.acked(bytes, path);
  }

  /** R9438-3: the clock of the curve stands still. */
  override held(now: number): void {
    if (!this.staged) return;
    const pause = (now - this.lastAt) | 0;
    if (pause > 0) this.epoch = (this.epoch + pause) | 0;
    this.lastAt = now;
  }

  protected override avoid(bytes: number, path: PathFacts): void {
    const { mss, now } = path;
    if (!this.staged) this.beginStage(path);
    if (Math.floor(this.exact) !== this.cwnd) this.exact = this.cwnd;
    const w = this.exact / mss;
    const segments = bytes / mss;
    const t = ((now - this.epoch) | 0) / 1000;
    // R9438-5, R9438-6
    this.wEst += ((this.wEst >= this.wBefore ? 1 : FRIENDLY) * segments) / w;
    let grown: number;
    if (this.curve(t) < this.wEst) grown = Math.max(w, this.wEst);
    else {
      // R9438-2, R9438-4
      const target = Math.min(1.5 * w, Math.max(w, this.curve(t + path.srtt / 1000)));
      grown = w + ((target - w) / w) * segments;
    }
    // However late the curve is asked, an ACK opens the window by half of what it acknowledged at most.
    this.exact = Math.min(grown * mss, this.exact + Math.max(mss, bytes / 2));
    this.cwnd = Math.floor(this.exact);
  }

  private curve(t: number): number {
    const x = t - this.k;
    return C * x * x * x + this.origin;
  }

  private beginStage({ mss, now }: PathFacts): void {
    this.staged = true;
    this.epoch = now;
    this.lastAt = now;
    this.exact = this.cwnd;
    const w = this.cwnd / mss;
    this.wEst = w;
    if (w < this.wMax) {
      this.k = Math.cbrt((this.wMax - w) / C);
      this.origin = this.wMax;
    } else {
      // R9438-10: no W_max to return to
      this.k = 0;
      this.origin = w;
    }
  }

  override reduce(flight: number, { mss }: PathFacts): void {
    this.remember();
    this.priorMax = this.wMax;
    this.priorK = this.k;
    this.priorOrigin = this.origin;
    this.priorEpoch = this.epoch;
    this.priorEst = this.wEst;
    this.priorStaged = this.staged;
    const w = this.cwnd / mss;
    // R9438-9: fast convergence
    this.wMax = w < this.wMax ? (w * (1 + BETA)) / 2 : w;
    this.wBefore = w;
    // R9438-7; R9438-8: FlightSize, not cwnd
    this.ssthresh = Math.max(Math.floor(flight * BETA), 2 * mss);
    this.staged = false;
  }

  override timeout(flight: number, path: PathFacts, again: boolean): void {
    if (!again) this.reduce(flight, path);
    this.wMax = 0;
    this.staged = false;
    this.cwnd = path.mss;
  }

  /** R9438-11 */
  override undo(): void {
    if (this.priorCwnd === 0) return;
    super.undo();
    this.wMax = this.priorMax;
    this.k = this.priorK;
    this.origin = this.priorOrigin;
    this.epoch = this.priorEpoch;
    this.wEst = this.priorEst;
    this.staged = this.priorStaged;
    this.exact = this.cwnd;
  }
}
