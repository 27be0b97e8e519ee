/**
 * The timers of one connection. Each is a deadline; one wheel entry per connection
 * stands for the earliest. The entry may fire early (a deadline moved back), never late.
 */
import { afterEq, before } from '../seqnum.js';
import { Mib } from '../mib.js';
import { Reason } from '../reasons.js';
import { compressionOver, delayPassed } from './ack.js';
import type { TcpContext } from './context.js';
import { deferredLimit, repeatsSynAck } from './defer-accept.js';
import { owesCwr } from './ecn.js';
import { detectLoss, found, loseAtTimeout } from './rack.js';
import { suspectBlackHole } from './mtu-search.js';
import { pendingDue } from './path-mtu.js';
import { repairsOf } from './repairs.js';
import { atRisk, beginEpisode, fail, lossFound, pathFacts, report } from './sender.js';
import * as S from './state.js';
import {
  K_PROBE,
  K_REORDER,
  K_RTO,
  LINGER_EXPIRED,
  LINGER_WAITS,
  LOSS,
  OPEN,
  T_COMPRESS,
  T_DELACK,
  T_FIN_WAIT_2,
  T_HOLD,
  T_KEEP,
  T_LINGER,
  T_PACE,
  T_PERSIST,
  T_REXMT,
  T_USER,
  type Tcb,
} from './tcb.js';

/** Longest pause between two window probes, ms. */
const PROBE_MAX = 60_000;

/** The lowest bit that is set. */
function lowest(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}

/** Puts the earliest deadline into the wheel. */
export function schedule(ctx: TcpContext, tcb: Tcb): void {
  if (tcb.id < 0) return;
  if (tcb.armed === 0) {
    ctx.wheel.cancel(tcb.id);
    return;
  }
  let left = tcb.armed & (tcb.armed - 1);
  let earliest = tcb.deadlines[lowest(tcb.armed)]!;
  for (; left !== 0; left &= left - 1) {
    const deadline = tcb.deadlines[lowest(left)]!;
    if (before(deadline, earliest)) earliest = deadline;
  }
  // An entry that fires earlier is left alone: it finds nothing due and comes back here.
  if (ctx.wheel.isArmed(tcb.id) && !before(earliest, ctx.wheel.deadlineOf(tcb.id))) return;
  ctx.wheel.arm(tcb.id, earliest);
}

/**
 * Chooses between retransmission and persist timer after anything that changed what
 * is in flight, what is queued or the peer's window. R6298-13..15.
 */
export function armSendTimers(ctx: TcpContext, tcb: Tcb, restart: boolean): void {
  const waiting = tcb.sendQueue.length > 0 || (tcb.finQueued && !tcb.finSent);
  // MUST-35: the window is closed; probing takes the place of retransmitting.
  if (tcb.sndWnd === 0 && tcb.state >= S.ESTABLISHED && (tcb.flight > 0 || waiting)) {
    tcb.disarm(T_REXMT);
    // SHLD-29: the first probe after one RTO, SHLD-30: then ever more slowly
    if (!tcb.isArmed(T_PERSIST)) tcb.arm(T_PERSIST, (ctx.now + probeInterval(tcb)) | 0);
  } else if (tcb.flight > 0) {
    tcb.disarm(T_PERSIST);
    tcb.probeBackoff = 0;
    if (restart || !tcb.isArmed(T_REXMT)) {
      tcb.rtoAt = (ctx.now + tcb.rtt.rto) | 0;
      tcb.probeFrom = ctx.now;
    }
    armRexmt(ctx, tcb);
  } else {
    tcb.disarm(T_REXMT);
    if (tcb.sndWnd !== 0 && !waiting) {
      tcb.disarm(T_PERSIST);
      tcb.probeBackoff = 0;
    }
  }
  armUserTimer(ctx, tcb);
}

/** Longest delay of an ACK that a probe allows for, ms (RFC 8985 7.2, Linux: the smallest RTO). */
const WORST_DELACK = 200;
/** Shortest time to a probe, ms. */
const PROBE_MIN = 10;

/** R8985-19: T_REXMT is one of the reordering, probe and retransmission timers. */
function armRexmt(ctx: TcpContext, tcb: Tcb): void {
  let kind = K_RTO;
  let wait = (tcb.rtoAt - ctx.now) | 0;
  if (tcb.reoWait > 0 && tcb.reoWait < wait) {
    kind = K_REORDER;
    wait = tcb.reoWait;
  } else if (probeDue(ctx, tcb)) {
    kind = K_PROBE;
    wait = Math.min(wait, (tcb.probeFrom + probeTimeout(ctx, tcb) - ctx.now) | 0);
  }
  tcb.rexmtKind = kind;
  tcb.arm(T_REXMT, (ctx.now + Math.max(0, wait)) | 0);
}

/** R8985-13, R8985-15 */
function probeDue(ctx: TcpContext, tcb: Tcb): boolean {
  return (
    ctx.config.probes &&
    tcb.sackEnabled &&
    tcb.recovery === OPEN &&
    tcb.state >= S.ESTABLISHED &&
    !tcb.tlpOut &&
    tcb.tlpSampled &&
    tcb.sent !== null &&
    tcb.sent.count > 0 &&
    tcb.sent.sacked === 0
  );
}

/** R8985-14: ms after what was sent or acknowledged last. */
function probeTimeout(ctx: TcpContext, tcb: Tcb): number {
  if (tcb.rtt.srtt8 === 0) return Math.min(1000, tcb.rtt.rto);
  const slack = ctx.config.dialect.timerSlack;
  const least = slack > 0 ? 2 * tcb.rtt.srtt : Math.max(PROBE_MIN, 2 * tcb.rtt.srtt);
  return least + (tcb.flight <= tcb.mss ? WORST_DELACK : slack);
}

/** Reordering timer and tail loss probe; the RTO starts anew with either (R8985-17). */
function rexmtTimer(ctx: TcpContext, tcb: Tcb): number {
  if (tcb.rexmtKind === K_RTO) return retransmit(ctx, tcb);
  const { sent } = tcb;
  if (sent === null || tcb.flight === 0) return Reason.plain;
  if (tcb.rexmtKind === K_REORDER) {
    detectLoss(ctx, tcb, sent);
    if (found.bytes > 0) lossFound(ctx, tcb, sent);
  } else {
    tcb.tlpOwed = true;
    tcb.tlpSampled = false;
    ctx.markReady(tcb);
  }
  tcb.rtoAt = (ctx.now + tcb.rtt.rto) | 0;
  armRexmt(ctx, tcb);
  return Reason.plain;
}

/**
 * ms, 0 none. RFC 5482 3.1: what the peer advertised is adopted within limits, and only while the
 * user has set nothing (CHANGEABLE): min(U_LIMIT, max(ADV_UTO, REMOTE_UTO, L_LIMIT)).
 */
function userLimit(ctx: TcpContext, tcb: Tcb): number {
  const { utoEnabled, utoLeast, utoMost, userTimeout } = ctx.config;
  if (utoEnabled && tcb.remoteUto > 0 && tcb.options.userTimeout === 0)
    return 1000 * Math.min(utoMost, Math.max(userTimeout / 1000, tcb.remoteUto, utoLeast));
  return tcb.options.userTimeout !== 0 ? tcb.options.userTimeout : ctx.config.userTimeout;
}

function armUserTimer(ctx: TcpContext, tcb: Tcb): void {
  const limit = userLimit(ctx, tcb);
  if (limit > 0 && tcb.flight > 0) tcb.arm(T_USER, (tcb.progressAt + limit) | 0);
  else tcb.disarm(T_USER);
}

function probeInterval(tcb: Tcb): number {
  const interval = tcb.rtt.base * (1 << Math.min(tcb.probeBackoff, 12));
  return interval < PROBE_MAX ? interval : PROBE_MAX;
}

/**
 * Runs what is due. Returns the reason when the connection ended (its state is
 * CLOSED then), `plain` otherwise.
 */
export function timersDue(ctx: TcpContext, tcb: Tcb): number {
  const now = ctx.now;
  const armed = tcb.armed;
  let reason = Reason.plain as number;
  for (let timer = 0; timer < tcb.deadlines.length; timer++) {
    if ((armed & (1 << timer)) === 0 || !afterEq(now, tcb.deadlines[timer]!)) continue;
    tcb.disarm(timer);
    reason = fire(ctx, tcb, timer);
    if (tcb.state === S.CLOSED) return reason;
  }
  schedule(ctx, tcb);
  return reason;
}

function fire(ctx: TcpContext, tcb: Tcb, timer: number): number {
  switch (timer) {
    case T_REXMT:
      return rexmtTimer(ctx, tcb);
    case T_DELACK:
      ctx.counters.bump(Mib.TcpExtDelayedACKs);
      delayPassed(ctx, tcb);
      return Reason.plain;
    case T_COMPRESS:
      compressionOver(ctx, tcb);
      return Reason.plain;
    case T_PERSIST:
      return persist(ctx, tcb);
    case T_KEEP:
      return keepAlive(ctx, tcb);
    case T_FIN_WAIT_2:
      fail(ctx, tcb, null);
      return Reason['fin-wait-2-timeout'];
    case T_HOLD:
    case T_PACE:
      ctx.markReady(tcb);
      return Reason.plain;
    case T_LINGER:
      // The stack tells who waits
      tcb.lingering = LINGER_EXPIRED;
      return Reason.plain;
    case T_USER:
      return userTimeout(ctx, tcb);
  }
  return Reason.plain;
}

/** R9293-54, RFC 5482. */
function userTimeout(ctx: TcpContext, tcb: Tcb): number {
  const limit = userLimit(ctx, tcb);
  // MUST-37: a peer that keeps its window closed and answers the probes is alive; silence means at least two unanswered
  const silence = (ctx.now - tcb.lastHeardAt) | 0;
  if (tcb.state >= S.ESTABLISHED && tcb.sndWnd === 0 && (tcb.probes < 2 || silence < limit)) {
    tcb.arm(T_USER, (ctx.now + (silence < limit ? limit - silence : limit)) | 0);
    return Reason.plain;
  }
  ctx.counters.bump(Mib.TcpExtTCPAbortOnTimeout);
  fail(ctx, tcb, 'ETIMEDOUT');
  return Reason['user-timeout'];
}

/** RFC 6298 5.4 .. 5.6. */
function retransmit(ctx: TcpContext, tcb: Tcb): number {
  if (tcb.flight === 0) return Reason.plain;
  const limit = retryLimit(ctx, tcb);
  tcb.retries++;
  noteBlackHole(ctx, tcb, limit);
  // MUST-20: R2
  if (tcb.retries > limit) {
    ctx.counters.bump(Mib.TcpExtTCPAbortOnTimeout);
    if (tcb.state < S.ESTABLISHED) ctx.counters.bump(Mib.TcpAttemptFails);
    fail(ctx, tcb, tcb.softError ?? 'ETIMEDOUT');
    return Reason['retries-used-up'];
  }
  // R1: the path may be to blame (MUST-20), and the user hears of it (SHLD-9)
  if (tcb.retries === ctx.config.retries1) {
    ctx.doubted.push(tcb);
    report(ctx, tcb, tcb.softError ?? 'ETIMEDOUT');
  }
  ctx.counters.bump(Mib.TcpExtTCPTimeouts);
  const repairs = repairsOf(tcb);
  repairs.timeouts++;
  if (tcb.retries === 1) {
    repairs.timeoutRuns++;
    repairs.timingOut = true;
    repairs.timeoutAt = ctx.now;
  }
  // 5.5: back off the timer. Note: a SYN may be tried a few times first (Linux tcp_syn_linear_timeouts)
  if (tcb.state !== S.SYN_SENT || repairs.timeouts > ctx.config.synLinear) tcb.rtt.backoff++;
  // Karn (R6298-9): what is resent cannot be timed, but by the timestamp that comes back
  tcb.rttRunning &&= tcb.tsEnabled;
  if (tcb.state < S.ESTABLISHED) {
    if (repeatsSynAck(tcb)) tcb.synOwed = true;
  } else if (!pendingDue(ctx, tcb)) {
    // An inconclusive probe
    if (tcb.search !== null) tcb.search.probeSize = 0;
    suspectBlackHole(ctx, tcb);
    const again = tcb.recovery === LOSS && tcb.retries > 1;
    // R3168-11: after the answer to a mark in the same window ssthresh stays as it is
    tcb.congestion.timeout(atRisk(ctx, tcb), pathFacts(ctx, tcb), again || tcb.reducing);
    tcb.reducing = false;
    owesCwr(tcb);
    if (again) tcb.undoable = false;
    else if (tcb.sent !== null) {
      const open = tcb.recovery === OPEN;
      beginEpisode(tcb, tcb.sent);
      // RFC 5682 2.1 (1): not after losses that are being repaired already
      tcb.frto = open && ctx.config.frto;
    }
    tcb.recovery = LOSS;
    // R6675-16
    tcb.recover = tcb.sndNxt;
    tcb.dupAcks = 0;
    tcb.inflation = 0;
    tcb.limitedBytes = 0;
    tcb.reoWait = 0;
    tcb.tlpOut = false;
    tcb.tlpOwed = false;
    if (tcb.sent !== null) {
      loseAtTimeout(ctx, tcb, tcb.sent);
      // What is too young to be lost stays beside the segment that is resent (tcp_enter_loss).
      if (ctx.config.dialect.countsSegments) tcb.congestion.cwnd = tcb.sent.pipe + tcb.mss;
    }
    tcb.rexmtOwed = true;
  }
  tcb.rtoAt = (ctx.now + tcb.rtt.rto) | 0;
  tcb.rexmtKind = K_RTO;
  tcb.arm(T_REXMT, (ctx.now + tcb.rtt.rto) | 0);
  ctx.markReady(tcb);
  return Reason.plain;
}

/** Linux tcp_fastopen_active_detect_blackhole: the third timeout in a row, or giving up before it. */
function noteBlackHole(ctx: TcpContext, tcb: Tcb, limit: number): void {
  if (!tcb.fastOpen || !(tcb.retries === 3 || (tcb.retries < 3 && tcb.retries > limit))) return;
  ctx.blackHoles++;
  ctx.blackHoleAt = ctx.now;
  ctx.counters.bump(Mib.TcpExtTCPFastOpenBlackhole);
}

function retryLimit(ctx: TcpContext, tcb: Tcb): number {
  // MUST-21: R2 of this connection is a time, or there is none
  if (tcb.options.userTimeout !== 0 && !isOrphan(tcb)) return Infinity;
  if (tcb.state === S.SYN_SENT)
    return (tcb.synRetries > 0 ? tcb.synRetries : ctx.config.synRetries) + ctx.config.synLinear;
  if (tcb.state === S.SYN_RECEIVED)
    return deferredLimit(tcb, tcb.synRetries > 0 ? tcb.synRetries : ctx.config.synAckRetries);
  return isOrphan(tcb) ? Math.min(ctx.config.retries, ctx.config.orphanRetries) : ctx.config.retries;
}

/** Nobody waits for this connection any more. */
function isOrphan(tcb: Tcb): boolean {
  return tcb.userClosed && tcb.lingering !== LINGER_WAITS;
}

/** Zero-window probe, or the override of silly-window avoidance. MUST-36, MUST-37. */
function persist(ctx: TcpContext, tcb: Tcb): number {
  ctx.markReady(tcb);
  if (tcb.sndWnd !== 0) {
    tcb.forceSend = true;
    return Reason.plain;
  }
  tcb.probes++;
  const limit = isOrphan(tcb) ? ctx.config.orphanRetries : ctx.config.retries;
  // Only silence counts: every answered probe sets `probes` back to 0 (MUST-37).
  if (tcb.probes > limit) {
    ctx.counters.bump(Mib.TcpExtTCPAbortOnTimeout);
    fail(ctx, tcb, 'ETIMEDOUT');
    return Reason['retries-used-up'];
  }
  ctx.counters.bump(Mib.TcpExtTCPWinProbe);
  tcb.probeOwed = true;
  tcb.probeBackoff++;
  tcb.arm(T_PERSIST, (ctx.now + probeInterval(tcb)) | 0);
  return Reason.plain;
}

/** RFC 9293 3.8.4: MUST-24 .. MUST-29, SHLD-12. */
function keepAlive(ctx: TcpContext, tcb: Tcb): number {
  if (tcb.options.keepIdle === 0) return Reason.plain;
  const quiet = (ctx.now - tcb.lastHeardAt) | 0;
  // MUST-26: nothing in flight and nothing heard for the whole interval
  if (tcb.flight > 0 || quiet < tcb.options.keepIdle || tcb.state < S.ESTABLISHED) {
    tcb.keepProbes = 0;
    tcb.arm(T_KEEP, (ctx.now + Math.max(1, tcb.options.keepIdle - (tcb.flight > 0 ? 0 : quiet))) | 0);
    return Reason.plain;
  }
  if (tcb.keepProbes >= (tcb.options.keepCount || ctx.config.keepProbes)) {
    fail(ctx, tcb, 'ETIMEDOUT');
    return Reason['keepalive-dead'];
  }
  tcb.keepProbes++;
  ctx.counters.bump(Mib.TcpExtTCPKeepAlive);
  tcb.keepOwed = true;
  ctx.markReady(tcb);
  tcb.arm(T_KEEP, (ctx.now + (tcb.options.keepInterval || ctx.config.keepInterval)) | 0);
  return Reason.plain;
}
