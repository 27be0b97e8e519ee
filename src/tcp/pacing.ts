/**
 * Pacing: segments are spread over the round trip in place of following each other at once.
 * Linux's rate (tcp_update_pacing_rate) and its credit for what left late
 * (tcp_update_skb_after_send). A connection is paced when its user set SO_MAX_PACING_RATE, or
 * all are (knob tcp_pacing, as the fq queueing discipline has it); the others only know the rate.
 *
 * The moment at which the next burst may leave is one more timer, T_PACE. Within the clock's
 * millisecond everything that is due in it leaves.
 */
import { before, max } from '../seqnum.js';
import type { TcpContext } from './context.js';
import { T_PACE, type Tcb } from './tcb.js';
import { schedule } from './timers.js';
import { isPaced } from './user-options.js';

/** Segments at the start of a connection that are not paced. */
const FREE = 10;

/** Bytes a second: cwnd in a round trip, by tcp_pacing_ss_ratio or tcp_pacing_ca_ratio more; Infinity before the first measurement. */
export function pacingRate(ctx: TcpContext, tcb: Tcb): number {
  const { congestion, rtt } = tcb;
  if (rtt.srtt8 === 0) return tcb.options.maxPacingRate;
  const { cwnd, ssthresh } = congestion;
  const { pacingSlowStart, pacingAvoidance } = ctx.config;
  const percent = cwnd < ssthresh / 2 ? pacingSlowStart : pacingAvoidance;
  const rate = (10 * percent * Math.max(cwnd, tcb.outstanding)) / (rtt.srtt8 / 8);
  return Math.min(rate, tcb.options.maxPacingRate);
}

/** A burst may not leave yet. */
export function isHeld(tcb: Tcb): boolean {
  return tcb.isArmed(T_PACE);
}

/** New data, [seq, end): a burst that begins with it is paced as a whole. */
export function burstBegins(ctx: TcpContext, tcb: Tcb, seq: number, end: number): void {
  if (before(seq, tcb.pacedTo)) return;
  tcb.pacedTo = max(end, tcb.burstEnd);
  const rest = Math.ceil(((tcb.pacedTo - end) | 0) / tcb.mss);
  burstLeaves(ctx, tcb, (tcb.pacedTo - seq) | 0, tcb.dataSegsOut + rest);
}

/** A burst of `bytes` begins to leave now; it and all before it are `segments` with data. */
export function burstLeaves(ctx: TcpContext, tcb: Tcb, bytes: number, segments: number): void {
  if (!isPaced(ctx.config, tcb)) return;
  // What was planned for this millisecond began when it was planned.
  const late = tcb.isArmed(T_PACE) ? 0 : lateness(ctx, tcb);
  const rate = pacingRate(ctx, tcb);
  if (!(rate > 0 && rate < Infinity) || segments < FREE) return;
  let micros = tcb.paceMicros;
  let at = tcb.paceAt;
  if (late > 0) {
    at = ctx.now;
    micros = 0;
  }
  const whole = Math.floor((bytes * 1e6) / rate);
  const next = micros + whole - Math.min(whole >> 1, late);
  tcb.paceAt = (at + Math.floor(next / 1000)) | 0;
  tcb.paceMicros = next % 1000;
  if (((tcb.paceAt - ctx.now) | 0) <= 0) return;
  tcb.arm(T_PACE, tcb.paceAt);
  schedule(ctx, tcb);
}

/** Microseconds since the moment that was planned; a long silence counts as enough. */
function lateness(ctx: TcpContext, tcb: Tcb): number {
  const millis = (ctx.now - tcb.paceAt) | 0;
  if (millis < 0 || millis > 1_000_000) return 1e9;
  return millis > 0 ? 1000 * millis - tcb.paceMicros : 0;
}
