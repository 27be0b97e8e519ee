/**
 * Is cwnd what holds the sender back? Only then it may grow (RFC 7661 3, R9438-8), and what
 * was not used for long is given back (RFC 2861, Linux tcp_cwnd_validate).
 */
import { before } from '../seqnum.js';
import { C_BUFFER, C_WINDOW } from './chrono.js';
import { initialWindow } from './congestion/control.js';
import type { TcpContext } from './context.js';
import { OPEN, type Tcb } from './tcb.js';

/** R5681-7, R6928-1: the window a connection starts, or after an idle time starts again, with. */
export function startWindow(ctx: TcpContext, tcb: Tcb): number {
  return initialWindow(tcb.mss, ctx.config.initialWindow);
}

/** cwnd was the limit in this window of data, or in slow start half of it was used. */
export function usesWindow(tcb: Tcb): boolean {
  const { cwnd, ssthresh } = tcb.congestion;
  return tcb.cwndLimited || (cwnd < ssthresh && cwnd < 2 * tcb.maxFlight);
}

/** New data went out. */
export function validate(ctx: TcpContext, tcb: Tcb): void {
  const { flight } = tcb;
  const limited = tcb.pipe + tcb.mss > tcb.congestion.cwnd;
  // The strongest sign of a window of data counts.
  if (!before(tcb.sndUna, tcb.windowEnd) || limited || (!tcb.cwndLimited && flight > tcb.maxFlight)) {
    tcb.cwndLimited = limited;
    tcb.maxFlight = flight;
    tcb.windowEnd = tcb.sndNxt;
  }
  if (usesWindow(tcb)) {
    tcb.windowUsed = 0;
    tcb.windowUsedAt = ctx.now;
    return;
  }
  if (flight > tcb.windowUsed) tcb.windowUsed = flight;
  if (ctx.config.idleRestart === 2 && ((ctx.now - tcb.windowUsedAt) | 0) >= tcb.rtt.rto) unused(ctx, tcb);
}

/** RFC 2861 3.2: an RTO passed in which part of the window lay idle. */
function unused(ctx: TcpContext, tcb: Tcb): void {
  const { congestion } = tcb;
  if (tcb.recovery === OPEN) {
    const used = Math.max(tcb.windowUsed, startWindow(ctx, tcb));
    if (used < congestion.cwnd) {
      congestion.ssthresh = Math.max(congestion.ssthresh, (3 * congestion.cwnd) >> 2);
      const half = (congestion.cwnd + used) >> 1;
      congestion.cwnd = half - (half % tcb.mss);
    }
    tcb.windowUsed = 0;
  }
  tcb.windowUsedAt = ctx.now;
}

/**
 * R5681-30: nothing was sent for longer than an RTO. Knob tcp_slow_start_after_idle: 1 back to
 * the restart window, 2 half the window for each RTO (RFC 2861, Linux tcp_cwnd_restart).
 */
export function restartAfterIdle(ctx: TcpContext, tcb: Tcb): void {
  const { congestion } = tcb;
  const rto = tcb.rtt.rto;
  const idle = (ctx.now - tcb.lastSentAt) | 0;
  if (idle <= rto || ctx.config.idleRestart === 0) return;
  const restart = Math.min(congestion.cwnd, startWindow(ctx, tcb));
  if (ctx.config.idleRestart === 1) congestion.cwnd = restart;
  else {
    if (congestion.cwnd > restart)
      congestion.ssthresh = Math.max(congestion.ssthresh, (3 * congestion.cwnd) >> 2);
    let window = congestion.cwnd;
    for (let left = idle - rto; left > 0 && window > restart; left -= rto) window >>= 1;
    congestion.cwnd = Math.max(window, restart);
  }
  // Once for one pause.
  tcb.lastSentAt = ctx.now;
  tcb.windowUsed = 0;
  tcb.windowUsedAt = ctx.now;
  tcb.maxFlight = 0;
  tcb.cwndLimited = false;
}

/** What holds back the rest: the peer's window, or a send buffer too small to fill cwnd (Linux tcp_write_xmit, tcp_cwnd_validate). */
export function noteLimits(ctx: TcpContext, tcb: Tcb): void {
  const { chrono, congestion } = tcb;
  const unsent = tcb.unsent;
  const inNetwork = tcb.pipe;
  const next = Math.min(unsent, tcb.mss);
  const usable = (tcb.sndUna + tcb.sndWnd - tcb.sndNxt) | 0;
  if (unsent > 0 && next > usable && inNetwork + next <= congestion.cwnd) chrono.start(C_WINDOW, ctx.now);
  else chrono.stop(C_WINDOW, false, ctx.now);
  if (unsent > 0 || !tcb.sendBlocked || tcb.sndNxt === tcb.limitsNoted) return;
  tcb.limitsNoted = tcb.sndNxt;
  const slowStart = congestion.cwnd < congestion.ssthresh;
  if (inNetwork + tcb.mss <= congestion.cwnd && !(slowStart && congestion.cwnd < 2 * inNetwork))
    chrono.start(C_BUFFER, ctx.now);
}
