/**
 * When what arrived in order is acknowledged: RFC 9293 3.8.6.3 and RFC 5681 4.2 as they stand, or,
 * where the dialect says so, at the peer's and the user's pace as Linux does it: the first segments
 * at once (quick ACKs), then late enough for a reply to carry the ACK.
 */
import { beforeEq, before } from '../seqnum.js';
import { Mib } from '../mib.js';
import { FIN, PSH, SYN, URG, type Segment } from '../wire/segment.js';
import { receiverRtt8 } from './autotune.js';
import type { TcpContext } from './context.js';
import { largestText } from './options.js';
import * as S from './state.js';
import { T_COMPRESS, T_DELACK, type Tcb } from './tcb.js';
import { windowUpdateDue } from './window.js';

/** ACKs sent at once after the first data, and after something went wrong, at most. */
const MOST_QUICK = 16;
/** Longest delay of an ACK, ms: while the stream flows one way, and when a reply is likely. */
const ONE_WAY_MAX = 500;
const REPLY_MAX = 200;
/** What RMSS is taken to be before data says more: the smallest MSS, and the default one. */
const RMSS_LEAST = 88;
const RMSS_FIRST = 536;
/** Flags of a segment that may be short although its sender is not out of data. */
const REMNANT = FIN | URG | SYN | PSH;

/** The handshake is over: R5681 4.2's RMSS is a guess until data arrives (Linux tcp_initialize_rcv_mss). */
export function startPace(ctx: TcpContext, tcb: Tcb): void {
  tcb.pace.heardAt = ctx.now;
  if (!ctx.config.dialect.pacesAcks) return;
  tcb.rcvMss = Math.max(RMSS_LEAST, Math.min(tcb.advMss, tcb.mss, tcb.rcvWnd >> 1, RMSS_FIRST));
}

/** The SYN,ACK is acknowledged at once, or by the text that a client promised (Linux tcp_rcv_synsent_state_process). */
export function ackAnswer(ctx: TcpContext, tcb: Tcb): void {
  if (!ctx.config.dialect.pacesAcks || (tcb.deferRounds === 0 && !tcb.pace.interactive)) {
    tcb.ackNow = true;
    return;
  }
  hurryAcks(ctx, tcb);
  tcb.arm(T_DELACK, (ctx.now + REPLY_MAX) | 0);
}

/** In-order text of this segment was taken: what it says of the peer's segments and pace. */
export function dataArrived(ctx: TcpContext, tcb: Tcb, segment: Segment): void {
  if (ctx.config.dialect.pacesAcks) {
    measureSegment(tcb, segment);
    keepPace(ctx, tcb);
    return;
  }
  tcb.pace.heardAt = ctx.now;
  if (segment.textSize > tcb.rcvMss) tcb.rcvMss = segment.textSize;
}

/**
 * ACK now, or within the delay. SHLD-18, SHLD-19: every second full-sized segment at once. Linux
 * __tcp_ack_snd_check: more than one full segment, or quick ACKs.
 */
export function acknowledgeInTime(ctx: TcpContext, tcb: Tcb): void {
  const { config } = ctx;
  const unacknowledged = (tcb.rcvNxt - tcb.lastAckSent) | 0;
  if (!config.dialect.pacesAcks) {
    if (unacknowledged >= 2 * tcb.rcvMss || config.delack === 0) tcb.ackNow = true;
    else if (!tcb.isArmed(T_DELACK)) tcb.arm(T_DELACK, (ctx.now + config.delack) | 0);
    return;
  }
  if (unacknowledged > tcb.rcvMss || inQuickMode(tcb) || config.delack === 0) tcb.ackNow = true;
  else delayAck(ctx, tcb);
}

function inQuickMode({ pace }: Tcb): boolean {
  return pace.quick > 0 && !pace.interactive;
}

/** RMSS follows the segments, whatever the peer announced (Linux tcp_measure_rcv_mss). */
export function measureSegment(tcb: Tcb, segment: Segment): void {
  const { pace } = tcb;
  const { textSize: length, flags } = segment;
  const last = pace.shorter;
  pace.shorter = 0;
  if (length >= tcb.rcvMss) {
    tcb.rcvMss = Math.min(length, largestText(tcb));
    // The end of a message in a full segment: nothing may follow soon.
    if ((flags & PSH) !== 0) pace.pushed = Math.max(pace.pushed, 1);
    return;
  }
  const options = segment.payloadOffset - segment.optionsOffset;
  const whole = length + options;
  if (whole >= RMSS_FIRST || (whole >= RMSS_LEAST && (flags & REMNANT) === 0)) {
    const mss = whole - (tcb.tsEnabled ? 12 : 0);
    pace.shorter = mss;
    if (mss === last) {
      tcb.rcvMss = mss;
      return;
    }
  }
  pace.pushed = Math.min(2, pace.pushed + 1);
}

/** The delay follows the time between segments (Linux tcp_event_data_recv). */
function keepPace(ctx: TcpContext, tcb: Tcb): void {
  const { pace } = tcb;
  const least = ctx.config.delack;
  const gap = (ctx.now - pace.heardAt) | 0;
  pace.heardAt = ctx.now;
  if (pace.delay === 0) {
    moreQuickAcks(tcb, MOST_QUICK);
    pace.delay = least;
  } else if (gap <= least >> 1) pace.delay = (pace.delay >> 1) + (least >> 1);
  else if (gap < pace.delay) pace.delay = Math.min((pace.delay >> 1) + gap, tcb.rtt.rto);
  // A pause this long: the peer may have begun slow start again and waits for ACKs
  else if (gap > tcb.rtt.rto) moreQuickAcks(tcb, MOST_QUICK);
}

/** As many as half the window has segments, `most` at most. */
function moreQuickAcks(tcb: Tcb, most: number): void {
  const half = Math.floor(tcb.rcvWnd / (2 * tcb.rcvMss));
  tcb.pace.quick = Math.max(tcb.pace.quick, Math.min(half === 0 ? 2 : half, most));
}

/** The peer lacks ACKs, or data was lost or came twice: at once for a while (Linux tcp_enter_quickack_mode). */
export function hurryAcks(ctx: TcpContext, tcb: Tcb, most = MOST_QUICK): void {
  if (!ctx.config.dialect.pacesAcks) return;
  moreQuickAcks(tcb, most);
  tcb.pace.interactive = false;
  tcb.pace.delay = ctx.config.delack;
}

/** Linux tcp_send_delayed_ack: an ACK that is about due goes at once. */
function delayAck(ctx: TcpContext, tcb: Tcb): void {
  const { pace } = tcb;
  const least = ctx.config.delack;
  let wait = pace.delay;
  if (wait > least) {
    let most = pace.interactive || pace.pushed > 0 ? REPLY_MAX : ONE_WAY_MAX;
    if (tcb.rtt.srtt8 > 0) most = Math.min(most, Math.max(tcb.rtt.srtt, least));
    wait = Math.min(wait, most);
  }
  wait = Math.min(wait, REPLY_MAX);
  if (wait === 0) {
    tcb.ackNow = true;
    return;
  }
  const due = (ctx.now + wait) | 0;
  if (!tcb.isArmed(T_DELACK)) tcb.arm(T_DELACK, due);
  else if (beforeEq(tcb.deadlines[T_DELACK]!, (ctx.now + (wait >> 2)) | 0)) tcb.ackNow = true;
  else if (before(due, tcb.deadlines[T_DELACK]!)) tcb.arm(T_DELACK, due);
}

/** The peer's FIN: the user will close soon, and our FIN carries the ACK. */
export function finArrivedInPace(ctx: TcpContext, tcb: Tcb): void {
  tcb.pace.interactive = true;
  acknowledgeInTime(ctx, tcb);
}

/** Most duplicate ACKs that may be owed at the same time. */
const MOST_DUPLICATES = 64;
/** Duplicates that nothing holds back, so that the sender's fast retransmit comes in time. */
const FIRST_DUPLICATES = 3;

/** R5681-19: each segment out of order gets a duplicate ACK of its own, unless SACK compression holds it back. */
export function duplicateOwed(ctx: TcpContext, tcb: Tcb): void {
  if (!compresses(ctx, tcb)) tcb.dupAcksOwed = Math.min(tcb.dupAcksOwed + 1, MOST_DUPLICATES);
}

/**
 * SACK compression (Linux __tcp_ack_snd_check): after three duplicates, those of the next 5 % of a
 * round trip become one, tcp_comp_sack_nr of them at most. Blocks say the same, once.
 */
function compresses(ctx: TcpContext, tcb: Tcb): boolean {
  const { compressMost, compressDelay, compressSlack } = ctx.config;
  const { pace } = tcb;
  if (!tcb.sackEnabled || tcb.ackNow || pace.compressed >= compressMost || inQuickMode(tcb)) return false;
  if (((tcb.rcvNxt - tcb.lastAckSent) | 0) > tcb.rcvMss) return false;
  if (pace.duplicatesAt !== tcb.rcvNxt) pace.duplicates = 0;
  pace.duplicatesAt = tcb.rcvNxt;
  if (pace.duplicates < FIRST_DUPLICATES) {
    pace.duplicates++;
    return false;
  }
  let rtt8 = receiverRtt8(tcb);
  if (tcb.rtt.srtt8 > 0 && tcb.rtt.srtt8 < rtt8) rtt8 = tcb.rtt.srtt8;
  // The last tick of the clock that the slack allows
  const wait = Math.floor(Math.min(compressDelay, rtt8 / 8 / 20) + compressSlack);
  if (wait === 0) return false;
  pace.compressed++;
  if (tcb.isArmed(T_COMPRESS)) return true;
  tcb.arm(T_COMPRESS, (ctx.now + wait) | 0);
  return true;
}

/** One ACK for the duplicates that were held back. */
export function compressionOver(ctx: TcpContext, tcb: Tcb): void {
  if (tcb.pace.compressed === 0) return;
  // The one that leaves now was not saved.
  tcb.pace.compressed--;
  tcb.ackNow = true;
  ctx.markReady(tcb);
}

/** The delay passed without a reply (Linux tcp_delack_timer_handler). */
export function delayPassed(ctx: TcpContext, tcb: Tcb): void {
  tcb.ackNow = true;
  ctx.markReady(tcb);
  if (!ctx.config.dialect.pacesAcks) return;
  const { pace } = tcb;
  if (pace.interactive) {
    pace.interactive = false;
    pace.delay = ctx.config.delack;
  } else pace.delay = Math.min(pace.delay << 1, tcb.rtt.rto);
}

/** A segment with this much text is about to leave, with an ACK in it. */
export function ackLeaves(ctx: TcpContext, tcb: Tcb, length: number): void {
  if (tcb.pace.compressed > 0 || tcb.isArmed(T_COMPRESS)) {
    ctx.counters.add(Mib.TcpExtTCPAckCompressed, tcb.pace.compressed);
    tcb.pace.compressed = 0;
    tcb.disarm(T_COMPRESS);
  }
  if (!ctx.config.dialect.pacesAcks) return;
  const { pace } = tcb;
  // A reply soon after data: the user's replies carry ACKs
  if (length > 0 && ((ctx.now - pace.heardAt) | 0) < pace.delay) pace.interactive = true;
  if (pace.quick > 0 && (tcb.ackNow || tcb.rcvNxt !== tcb.lastAckSent)) {
    pace.quick--;
    if (pace.quick === 0) pace.delay = ctx.config.delack;
  }
  pace.pushed = 0;
}

/** The user read `count` bytes: is an ACK due for it (Linux tcp_cleanup_rbuf), or a window update? */
export function readingBringsAck(ctx: TcpContext, tcb: Tcb, count: number): boolean {
  if (ctx.config.dialect.pacesAcks && tcb.rcvNxt !== tcb.lastAckSent) {
    if (((tcb.rcvNxt - tcb.lastAckSent) | 0) > tcb.rcvMss) return true;
    const { pushed, interactive } = tcb.pace;
    if (count > 0 && tcb.readable === 0 && (pushed > 1 || (pushed > 0 && !interactive))) return true;
  }
  return count > 0 && tcb.state >= S.ESTABLISHED && !tcb.peerClosed && windowUpdateDue(tcb);
}

/** TCP_QUICKACK: 0 leaves ACKs to replies; else what is owed goes now, and later ACKs go at once (odd) or as before (even). */
export function setQuickAck(ctx: TcpContext, tcb: Tcb, value: number): void {
  tcb.pace.interactive = value === 0;
  if (value === 0 || tcb.rcvNxt === tcb.lastAckSent) return;
  if (tcb.state !== S.ESTABLISHED && tcb.state !== S.CLOSE_WAIT) return;
  tcb.ackNow = true;
  ctx.markReady(tcb);
  if ((value & 1) === 0) tcb.pace.interactive = true;
}
