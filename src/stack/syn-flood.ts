/** When the queue of half-open connections is full: SYN cookies sent and taken back (RFC 4987 3.6). */
import { after } from '../seqnum.js';
import { Mib } from '../mib.js';
import { Reason } from '../reasons.js';
import { openWindow } from '../tcp/autotune.js';
import { peerOptions, updateMss } from '../tcp/options.js';
import { emitSynAck } from '../tcp/output.js';
import * as S from '../tcp/state.js';
import { Tcb } from '../tcp/tcb.js';
import { NO_CHOICE } from '../tcp/user-options.js';
import { OFFSET_NONE } from '../timewait/layout.js';
import { ACK, RST, SYN, type Segment } from '../wire/segment.js';
import type { Core } from './core.js';
import { OFFSET_RANDOM } from './first-numbers.js';
import { fromSyn, queue, tupleFromSegment } from './half-open.js';
import type { Listener } from './listener.js';
import { COOKIE_LIFE, MSS_V4, MSS_V6 } from './syn-cookies.js';

/** Values of knob net.ipv4.tcp_syncookies besides 1, when the queue is full. */
const NEVER = 0;
const ALWAYS = 2;

/** Low bits of the SYN,ACK's timestamp. */
const STAMP_MASK = 63;
const SCALE_MASK = 15;
const NO_SCALE = 15;
const STAMP_SACK = 16;
const STAMP_ECN = 32;

/** Half-open connections that any backlog allows. */
const LEAST_QUEUE = 8;

/** R4987-9: has the queue of half-open connections no room for another one? */
export function queueFull(core: Core, { backlog, halfOpen }: Listener): boolean {
  if (core.ctx.config.dialect.queuesByBacklog) return halfOpen > backlog;
  return halfOpen >= Math.min(core.settings.maxHalfOpen, Math.max(backlog, LEAST_QUEUE));
}

/** Is the room that the queue has left for others than the sender of this SYN (dialect `queuesByBacklog`)? */
export function keptForPeers(core: Core, { halfOpen }: Listener, s: Segment): boolean {
  const { dialect } = core.ctx.config;
  if (!dialect.queuesByBacklog || core.settings.synCookies !== NEVER) return false;
  const most = core.settings.maxHalfOpen;
  const { peers } = core.synBudget;
  return most - halfOpen < most >> 2 && !peers.isProven(s.src0, s.src1, s.src2, s.src3, core.ctx.now);
}

/** R4987-5: does this SYN get a cookie, now that the queue is `full` or not? */
export function wantsCookie(core: Core, full: boolean): boolean {
  const mode = core.settings.synCookies;
  return mode === ALWAYS || (full && mode !== NEVER);
}

/** A cookie, as long as there are not too many of them (syn-budget.ts). */
export function cookieFor(core: Core, listener: Listener, segment: Segment): number {
  const rate = core.settings.cookieRate;
  if (core.synBudget.take(segment, rate, core.ctx.now)) return answerWithCookie(core, listener, segment);
  core.count(Mib.TcpExtTCPReqQFullDrop);
  core.count(Mib.TcpExtListenDrops);
  return Reason['syn-cookie-rate'];
}

/** A packet that `SynBudget.isOneMore` knows is counted and dropped as it would be further on. */
export function dropOneMore(core: Core, bytes: Uint8Array, offset: number): number {
  const v6 = bytes[offset]! >> 4 === 6;
  const ecn = (v6 ? bytes[offset + 1]! >> 4 : bytes[offset + 1]!) & 3;
  core.count(v6 ? Mib.Ip6InReceives : Mib.IpInReceives);
  core.count((v6 ? Mib.Ip6InNoECTPkts : Mib.IpExtInNoECTPkts) + ecn);
  core.count(v6 ? Mib.Ip6InDelivers : Mib.IpInDelivers);
  core.count(Mib.TcpInSegs);
  core.count(Mib.TcpExtTCPReqQFullDrop);
  core.count(Mib.TcpExtListenDrops);
  return core.decide(Reason['syn-cookie-rate'], S.LISTEN, null);
}

/** R4987-1: answers a SYN and forgets it. The SYN,ACK is never resent (R4987-7). */
function answerWithCookie(core: Core, listener: Listener, segment: Segment): number {
  const { ctx, synCookies } = core;
  const tcb = synCookies.scratch;
  // Nothing stays of the SYN before
  if (listener.maxSegment === 0) tcb.options = NO_CHOICE;
  tcb.search = null;
  tupleFromSegment(core, tcb, segment);
  const table = tcb.version === 4 ? MSS_V4 : MSS_V6;
  const offered = segment.mss >= 0 ? segment.mss : table[0]!;
  let index = table.length - 1;
  while (index > 0 && table[index]! > offered) index--;
  fromSyn(core, listener, tcb, segment, synCookies.make(segment, segment.seq, index, ctx.now));
  forgetRandom(core, tcb);
  if (tcb.tsEnabled) tcb.tsOffset = (stampOf(tcb, ctx.now) + tcb.tsOffset - ctx.now) | 0;
  else {
    tcb.wscaleOk = false;
    tcb.sackEnabled = false;
    tcb.ecn = false;
  }
  listener.cookies.at = ctx.now;
  listener.cookies.sent = true;
  core.count(Mib.TcpExtTCPReqQFullDoCookies);
  core.count(emitSynAck(ctx, tcb, Reason['syn-cookie']) ? Mib.TcpExtSyncookiesSent : Mib.IpOutDiscards);
  return Reason['syn-cookie'];
}

/** A random offset could not be known again. */
function forgetRandom(core: Core, tcb: Tcb): void {
  if (core.settings.stampOffset !== OFFSET_RANDOM) return;
  tcb.tsOffset = 0;
  tcb.offsetKind = OFFSET_NONE;
}

/** The present time with the options of the SYN in its low bits, never in the future. */
function stampOf(tcb: Tcb, now: number): number {
  const options =
    (tcb.wscaleOk ? tcb.sndWscale : NO_SCALE) |
    (tcb.sackEnabled ? STAMP_SACK : 0) |
    (tcb.ecn ? STAMP_ECN : 0);
  const stamp = (now & ~STAMP_MASK) | options;
  return after(stamp, now) ? (stamp - STAMP_MASK - 1) | 0 : stamp;
}

/**
 * A segment for a listener and no connection may end a handshake that only its peer remembers: the
 * connection in SYN-RECEIVED, to which the segment goes next; null: it is no such segment (R4987-3).
 */
export function fromCookie(core: Core, listener: Listener, segment: Segment): Tcb | null {
  if ((segment.flags & (ACK | RST | SYN)) !== ACK || !listener.cookies.sent) return null;
  const { ctx, synCookies } = core;
  // Without a cookie lately there is none to come back
  if ((ctx.now - listener.cookies.at) >>> 0 >= COOKIE_LIFE) {
    listener.cookies.sent = false;
    return null;
  }
  const cookie = (segment.ack - 1) | 0;
  const index = synCookies.check(segment, cookie, (segment.seq - 1) | 0, ctx.now);
  if (index < 0 || listener.full) {
    core.count(index < 0 ? Mib.TcpExtSyncookiesFailed : Mib.TcpExtListenOverflows);
    if (index >= 0) core.count(Mib.TcpExtListenDrops);
    return null;
  }
  const tcb = new Tcb();
  tupleFromSegment(core, tcb, segment);
  fromSyn(core, listener, tcb, segment, cookie);
  forgetRandom(core, tcb);
  tcb.irs = (segment.seq - 1) | 0;
  tcb.rcvNxt = segment.seq;
  tcb.sndWl1 = tcb.irs;
  optionsFromStamp(core, tcb, segment);
  openWindow(ctx, tcb);
  tcb.peerMss = (tcb.version === 4 ? MSS_V4 : MSS_V6)[index]!;
  updateMss(core.ctx, tcb);
  tcb.rcvMss = tcb.mss;
  tcb.sndNxt = (tcb.iss + 1) | 0;
  tcb.lastAckSent = tcb.rcvNxt;
  queue(core, listener, tcb);
  core.count(Mib.TcpExtSyncookiesRecv);
  return tcb;
}

/** What the echoed timestamp says of the SYN's options. */
function optionsFromStamp(core: Core, tcb: Tcb, segment: Segment): void {
  peerOptions(core.ctx, tcb, segment);
  if (!tcb.tsEnabled) return;
  const bits = (segment.tsEcr - tcb.tsOffset) & STAMP_MASK;
  const scale = bits & SCALE_MASK;
  if (scale !== NO_SCALE && core.ctx.config.windowScaling) {
    tcb.wscaleOk = true;
    tcb.sndWscale = scale;
    tcb.rcvWscale = tcb.ownWscale;
  }
  tcb.sackEnabled = (bits & STAMP_SACK) !== 0 && core.ctx.config.sack;
  tcb.ecn = (bits & STAMP_ECN) !== 0;
}
