/**
 * CUBIC as Linux computes it (net/ipv4/tcp_cubic.c): windows in whole segments, times in
 * 1/1024 s, the curve as the number of acknowledged segments that open the window by one;
 * and HyStart, which ends slow start before the queue overflows (Ha and Rhee 2011; the
 * notion of RFC 9406). Where RFC 9438 differs, `cubic.ts` does as it says.
 */
import { after } from '../../seqnum.js';
import { Mib, type Counters } from '../../mib.js';
import { type PathFacts } from './control.js';
import { NewReno } from './reno.js';

/** beta = 717/1024, C = 410/1024. */
const BETA = 717;
const C = 410;
const ONE = 1024;
/** K^3 for one segment: 2^40 / C, in (1/1024 s)^3. */
const CUBE = 2 ** 40 / C;
/** Segments in eighths of a window that open Reno's by one: 8 (1 + beta) / 3 (1 - beta). */
const RENO_SCALE = Math.floor((8 * (ONE + BETA)) / 3 / (ONE - BETA));
/** The curve is asked again after this many ms without growth (HZ / 32). */
const STALE = 31;

/** HyStart looks from this window on, segments; ACKs this close are one train, ms. */
const LOW_WINDOW = 16;
const TRAIN_GAP = 2;
/** Samples before the delay of a round counts. */
const SAMPLES = 8;
/** Samples of the first second of a stage say nothing: the queue is still draining. */
const SETTLE = 1000;

export class LinuxCubic extends NewReno {
  override readonly name = 'cubic';
  // The curve: its last maximum, its plateau, K; the stage began at `epoch`.
  private lastMax = 0;
  private origin = 0;
  private k = 0;
  private epoch = 0;
  private staged = false;
  private askedAt = 0;
  private askedWindow = 0;
  /** Acknowledged segments for one more in the window. */
  private pace = 0;
  private renoWindow = 0;
  private renoAcked = 0;
  /** Acknowledged segments since the window grew. */
  private credit = 0;
  // HyStart, over the life of the connection: smallest delay, and whether slow start was ended.
  private delayMin = -1;
  private found = false;
  private inRound = false;
  private roundEnd = 0;
  private roundAt = 0;
  private trainAt = 0;
  private roundDelay = 0;
  private samples = 0;

  override start(window: number): void {
    super.start(window);
    this.reset();
  }

  private reset(): void {
    this.lastMax = 0;
    this.origin = 0;
    this.k = 0;
    this.staged = false;
    this.pace = 0;
    this.delayMin = -1;
    this.found = false;
    this.inRound = false;
  }

  override acked(bytes: number, path: PathFacts): void {
    const { mss } = path;
    let segments = Math.ceil(bytes / mss);
    if (this.cwnd < this.ssthresh) {
      const grown = Math.min(this.cwnd + segments * mss, this.ssthresh);
      segments -= Math.ceil((grown - this.cwnd) / mss);
      this.cwnd = grown;
      if (segments <= 0) return;
    }
    const window = Math.max(1, Math.floor(this.cwnd / mss));
    this.update(window, segments, path);
    // tcp_cong_avoid_ai
    if (this.credit >= this.pace) {
      this.credit = 0;
      this.cwnd += mss;
    }
    this.credit += segments;
    if (this.credit >= this.pace) {
      const steps = Math.floor(this.credit / this.pace);
      this.credit -= steps * this.pace;
      this.cwnd += steps * mss;
    }
  }

  /** bictcp_update */
  private update(window: number, segments: number, { now }: PathFacts): void {
    this.renoAcked += segments;
    if (this.staged && this.askedWindow === window && ((now - this.askedAt) | 0) <= STALE) return;
    if (!this.staged || now !== this.askedAt) {
      this.askedWindow = window;
      this.askedAt = now;
      if (!this.staged) this.beginStage(window, segments, now);
      this.ask(window, now);
    }
    this.friendly(window);
    // However steep the curve, half of what is acknowledged opens the window.
    this.pace = Math.max(this.pace, 2);
  }

  private beginStage(window: number, segments: number, now: number): void {
    this.staged = true;
    this.epoch = now;
    this.renoAcked = segments;
    this.renoWindow = window;
    const below = this.lastMax - window;
    this.k = below > 0 ? Math.floor(Math.cbrt(CUBE * below)) : 0;
    this.origin = below > 0 ? this.lastMax : window;
  }

  private ask(window: number, now: number): void {
    const elapsed = ((now - this.epoch) | 0) + Math.max(0, this.delayMin);
    const off = Math.floor((elapsed * ONE) / 1000) - this.k;
    const rise = Math.floor((C * Math.abs(off) ** 3) / 2 ** 40);
    const target = off < 0 ? this.origin - rise : this.origin + rise;
    this.pace = target > window ? Math.floor(window / (target - window)) : 100 * window;
    // Nothing is known of the path yet: 5 % a round trip at least.
    if (this.lastMax === 0 && this.pace > 20) this.pace = 20;
  }

  /** R9438-5 in integers: Reno's window beside the curve. */
  private friendly(window: number): void {
    const step = Math.floor((window * RENO_SCALE) / 8);
    while (this.renoAcked > step) {
      this.renoAcked -= step;
      this.renoWindow++;
    }
    if (this.renoWindow > window) {
      const most = Math.floor(window / (this.renoWindow - window));
      if (this.pace > most) this.pace = most;
    }
  }

  /** cubictcp_acked: one RTT sample of an ACK. */
  override measured(path: PathFacts, counters: Counters): void {
    const { now } = path;
    if (this.staged && ((now - this.epoch) | 0) < SETTLE) return;
    const delay = Math.max(1, path.rtt);
    if (this.delayMin < 0 || delay < this.delayMin) this.delayMin = delay;
    if (this.found || this.cwnd >= this.ssthresh) return;
    if (!this.inRound || after(path.una, this.roundEnd)) {
      this.inRound = true;
      this.roundAt = now;
      this.trainAt = now;
      this.roundEnd = path.nxt;
      this.roundDelay = -1;
      this.samples = 0;
    }
    if (this.cwnd < LOW_WINDOW * path.mss) return;
    this.train(path, counters);
    this.delay(delay, path, counters);
  }

  /** ACKs that follow each other closely for longer than half the shortest delay: the path is full. */
  private train({ now, paced, mss }: PathFacts, counters: Counters): void {
    if (((now - this.trainAt) | 0) > TRAIN_GAP) return;
    this.trainAt = now;
    const most = paced ? this.delayMin : this.delayMin / 2;
    if (((now - this.roundAt) | 0) <= most) return;
    this.leave();
    counters.bump(Mib.TcpExtTCPHystartTrainDetect);
    counters.add(Mib.TcpExtTCPHystartTrainCwnd, Math.floor(this.cwnd / mss));
  }

  /** The smallest delay of a round is an eighth above the shortest: a queue is growing. */
  private delay(delay: number, { mss }: PathFacts, counters: Counters): void {
    if (this.roundDelay < 0 || delay < this.roundDelay) this.roundDelay = delay;
    if (this.samples < SAMPLES) {
      this.samples++;
      return;
    }
    const margin = Math.min(16, Math.max(4, this.delayMin >> 3));
    if (this.roundDelay <= this.delayMin + margin) return;
    this.leave();
    counters.bump(Mib.TcpExtTCPHystartDelayDetect);
    counters.add(Mib.TcpExtTCPHystartDelayCwnd, Math.floor(this.cwnd / mss));
  }

  private leave(): void {
    this.found = true;
    this.ssthresh = this.cwnd;
  }

  /** The curve stands still while nothing is sent (cubictcp_cwnd_event). */
  override idle(since: number, now: number): void {
    const pause = (now - since) | 0;
    if (!this.staged || pause <= 0) return;
    const shifted = (this.epoch + pause) | 0;
    this.epoch = after(shifted, now) ? now : shifted;
  }

  /** bictcp_recalc_ssthresh */
  override reduce(flight: number, { mss }: PathFacts): void {
    this.remember();
    this.staged = false;
    const window = Math.floor(flight / mss);
    // Fast convergence
    this.lastMax = window < this.lastMax ? Math.floor((window * (ONE + BETA)) / (2 * ONE)) : window;
    this.ssthresh = Math.max(Math.floor((window * BETA) / ONE), 2) * mss;
    this.credit = 0;
  }

  override timeout(flight: number, path: PathFacts, again: boolean): void {
    super.timeout(flight, path, again);
    // cubictcp_state: a timeout forgets the path
    this.reset();
  }
}
