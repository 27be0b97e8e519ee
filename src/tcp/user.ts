/**
 * The user's calls of RFC 9293 3.10.1 .. 3.10.5 on one connection. Each changes the
 * TCB and marks it ready; segments leave with the turn's output.
 */
import { Mib } from '../mib.js';
import { Reason } from '../reasons.js';
import { armFinWait2, isClosing } from './closing.js';
import { readingBringsAck } from './ack.js';
import { adjustSpace, openWindow } from './autotune.js';
import type { TcpContext } from './context.js';
import { offersEcn } from './ecn.js';
import { UNREAD_FIN, UNREAD_RST_ALWAYS } from './dialect.js';
import { fixedHeaders, updateMss } from './options.js';
import { emitReset } from './output.js';
import { fail } from './sender.js';
import * as S from './state.js';
import { LINGER_WAITS, T_KEEP, T_LINGER, type Tcb } from './tcb.js';
import { schedule } from './timers.js';
import { choose } from './user-options.js';
import { wscaleFor } from './window.js';

/** Fields that both kinds of opening set, from the stack's configuration. */
export function prepare(ctx: TcpContext, tcb: Tcb, iss: number, tsOffset: number, pathMtu: number): void {
  const { config } = ctx;
  tcb.sendQueue.chunks = ctx.chunks;
  tcb.sendQueue.tx = ctx.tx;
  tcb.receiveQueue.chunks = ctx.chunks;
  tcb.receiveQueue.loans = ctx.loans;
  tcb.iss = iss;
  tcb.sndUna = iss;
  tcb.sndNxt = iss;
  tcb.recover = iss;
  tcb.burstEnd = iss;
  tcb.sndSmall = iss;
  tcb.pacedTo = iss;
  tcb.pushedTo = (iss + 1) | 0;
  tcb.tsOffset = tsOffset;
  tcb.tsEnabled = config.timestamps;
  tcb.sndLimit = config.sendBuffer;
  tcb.rcvLimit = config.receiveBuffer;
  tcb.windowRule = config.dialect.window;
  tcb.ownWscale = wscaleFor(Math.max(tcb.rcvLimit, config.receiveBufferMax));
  tcb.pathMtu = pathMtu;
  tcb.pathUntil = (ctx.now + config.mtuExpires) | 0;
  // R9293-63: fixed headers only
  tcb.advMss = config.linkMtu - fixedHeaders(tcb.version);
  tcb.peerMss = tcb.advMss;
  updateMss(ctx, tcb);
  tcb.rcvMss = tcb.mss;
  tcb.rtt.reset(config.rtoInit, config.rtoMin, config.rtoMax, config.dialect.boundsVariance);
  tcb.reordering = config.reordering;
  tcb.lastHeardAt = ctx.now;
  tcb.lastSentAt = ctx.now;
  tcb.progressAt = ctx.now;
}

/** 3.10.1 OPEN, active: R9293-71. */
export function activeOpen(ctx: TcpContext, tcb: Tcb): void {
  tcb.active = true;
  tcb.moveTo(S.SYN_SENT);
  // RCV.NXT is not known; the SYN's window field offers this much.
  openWindow(ctx, tcb);
  tcb.ecn = offersEcn(ctx);
  tcb.synOwed = true;
  ctx.counters.bump(Mib.TcpActiveOpens);
  ctx.markReady(tcb);
}

/** The octet before RCV.UP, -1 unless it is in the receive queue. */
export function urgentOctet(tcb: Tcb): number {
  return tcb.receiveQueue.at(tcb.urgentLeft - 1);
}

/** 3.10.3 RECEIVE. The window reopens as the user reads. */
export function read(ctx: TcpContext, tcb: Tcb, max: number): Uint8Array | null {
  const bytes = tcb.receiveQueue.read(max);
  taken(ctx, tcb, bytes === null ? 0 : bytes.length);
  return bytes;
}

/** The same in two steps: what is peeked at is the user's until he has consumed it. */
export function consume(ctx: TcpContext, tcb: Tcb, count: number): void {
  if (count > 0) tcb.receiveQueue.consume(count);
  taken(ctx, tcb, count);
}

function taken(ctx: TcpContext, tcb: Tcb, count: number): void {
  if (tcb.urgent && tcb.urgentLeft === 0) tcb.urgent = false;
  // A FIN behind unread text goes with the last of it.
  if (tcb.peerClosed && tcb.readable === 0) {
    if (tcb.endRead) tcb.secondFin = false;
    tcb.endRead = true;
  }
  ctx.charge(tcb);
  if (count === 0) return;
  adjustSpace(ctx, tcb);
  if (!readingBringsAck(ctx, tcb, count)) return;
  tcb.ackNow = true;
  ctx.markReady(tcb);
}

/** 3.10.4 CLOSE of our sending side: R9293-43, R9293-44, R9293-45. */
export function shutdown(ctx: TcpContext, tcb: Tcb): boolean {
  if (tcb.finQueued) return true;
  switch (tcb.state) {
    case S.SYN_SENT:
    case S.SYN_RECEIVED:
      tcb.finQueued = true;
      return true;
    case S.ESTABLISHED:
      tcb.finQueued = true;
      tcb.moveTo(S.FIN_WAIT_1);
      break;
    case S.CLOSE_WAIT:
      tcb.finQueued = true;
      tcb.moveTo(S.LAST_ACK);
      break;
    default:
      return false;
  }
  ctx.markReady(tcb);
  return true;
}

/**
 * 3.10.4 CLOSE as programs know it: nobody reads any more. Returns the reason when
 * the connection ended at once (CLOSED), else `plain`.
 */
export function close(ctx: TcpContext, tcb: Tcb): number {
  const state = tcb.state;
  if (state === S.CLOSED || state === S.TIME_WAIT) return Reason.plain;
  const { unreadClose } = ctx.config.dialect;
  const waits = tcb.readable > 0 || (tcb.secondFin && !tcb.endRead);
  const unread = waits && unreadClose !== UNREAD_FIN;
  if (tcb.options.linger === 0 && !(unread && unreadClose === UNREAD_RST_ALWAYS)) {
    ctx.counters.bump(Mib.TcpExtTCPAbortOnData);
    return abort(ctx, tcb, Reason['linger-abort']);
  }
  // R9293-46
  if (state === S.SYN_SENT) {
    fail(ctx, tcb, null);
    return Reason['user-abort'];
  }
  // SHLD-3: received data is still unread
  if (unread) {
    ctx.counters.bump(Mib.TcpExtTCPAbortOnClose);
    return abort(ctx, tcb, Reason['unread-abort'], unreadClose === UNREAD_RST_ALWAYS);
  }
  tcb.receiveQueue.clear();
  tcb.endRead = tcb.peerClosed;
  shutdown(ctx, tcb);
  tcb.userClosed = true;
  if (tcb.options.linger > 0 && isClosing(tcb)) {
    tcb.lingering = LINGER_WAITS;
    tcb.arm(T_LINGER, (ctx.now + 1000 * tcb.options.linger) | 0);
  }
  armFinWait2(ctx, tcb);
  schedule(ctx, tcb);
  return Reason.plain;
}

/** 3.10.5 ABORT: R9293-48, R9293-49. `always`: with a RST in CLOSING and LAST-ACK, too. */
export function abort(ctx: TcpContext, tcb: Tcb, reason: number, always = false): number {
  const state = tcb.state;
  const late = always || (ctx.config.dialect.resetsUnsent && !tcb.finSent);
  const reset = state >= S.SYN_RECEIVED && state <= (late ? S.LAST_ACK : S.CLOSE_WAIT);
  if (reset && !emitReset(ctx, tcb, reason)) ctx.counters.bump(Mib.TcpExtTCPAbortFailed);
  tcb.receiveQueue.clear();
  fail(ctx, tcb, null);
  ctx.charge(tcb);
  return reason;
}

/** Keep-alive: MUST-24, MUST-25. `idle` in ms, 0 switches off. */
export function setKeepAlive(ctx: TcpContext, tcb: Tcb, idle: number): void {
  choose(tcb, { keepIdle: idle });
  tcb.keepProbes = 0;
  if (idle > 0) tcb.arm(T_KEEP, (ctx.now + idle) | 0);
  else tcb.disarm(T_KEEP);
  schedule(ctx, tcb);
}
