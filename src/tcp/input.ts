/**
 * SEGMENT ARRIVES for every state that has a TCB: RFC 9293 3.10.7.3 (SYN-SENT) and
 * 3.10.7.4 (the rest), in the RFC's order, with RFC 5961 and RFC 7323 where they say.
 * The steps from URG on are in text.ts.
 *
 * Each function returns a reason: `plain`, or why the segment was dropped or answered
 * outside the ordinary path. Replies that belong to the connection are owed
 * (`ackNow`); a RST in reply is asked for with `ctx.resetReply`, because it answers
 * the segment, not the connection. A connection that ended is left in CLOSED, one
 * that has nothing left but waiting in TIME-WAIT; the stack carries both out.
 */
import { after, before, beforeEq, greater } from '../seqnum.js';
import { Mib } from '../mib.js';
import { Reason } from '../reasons.js';
import { ACK, FIN, RST, SYN, URG, type Segment } from '../wire/segment.js';
import { acceptable, isHalfOpen, resetBeforeFin, resetIsExact } from './acceptable.js';
import { ourFinAcked } from './closing.js';
import { ackAnswer, hurryAcks, startPace } from './ack.js';
import { beginTuning } from './autotune.js';
import { fitLimit } from './buffers.js';
import type { TcpContext } from './context.js';
import { noteOld, noteTwice } from './dsack.js';
import { CODEPOINT, countCodepoint, ecnFromAnswer, ecnFromSyn, takeMark } from './ecn.js';
import { ACCEPT_BSD, ACCEPT_LINUX, ORPHAN_BSD, type Dialect } from './dialect.js';
import { EV_CONNECTED, EV_READABLE } from './events.js';
import { challengeAck, outOfWindowAck } from './limits.js';
import { startSending, synTextAnswered } from './early.js';
import { peerOptions, recordTimestamp } from './options.js';
import { checkTimestamp } from './paws.js';
import {
  acknowledge,
  digest,
  fail,
  numbersAcked,
  orderDiffers,
  resendAll,
  synLossLasts,
  takeSack,
  timeoutsOver,
} from './sender.js';
import { sampleMinRtt } from './rack.js';
import * as S from './state.js';
import { RECOVERY, T_PERSIST, T_REXMT, type Tcb } from './tcb.js';
import { reachesBeyond, resetOrphan, text, textAndFin, trim, urgentArrives } from './text.js';
import { armSendTimers, schedule } from './timers.js';
import { mayUpdateWindow } from './window.js';

/** A segment for this connection. */
export function segmentArrives(ctx: TcpContext, tcb: Tcb, segment: Segment): number {
  ctx.resetReply = false;
  tcb.segsIn += segment.count;
  if (segment.payloadLength > 0) tcb.dataSegsIn += segment.count;
  const reason = tcb.state === S.SYN_SENT ? synSent(ctx, tcb, segment) : synchronized(ctx, tcb, segment);
  if (tcb.state !== S.CLOSED) {
    if (tcb.ackNow || tcb.dupAcksOwed > 0 || tcb.synOwed) ctx.markReady(tcb);
    schedule(ctx, tcb);
  }
  ctx.charge(tcb);
  return reason;
}

/** 3.10.7.3 SYN-SENT STATE */
function synSent(ctx: TcpContext, tcb: Tcb, segment: Segment): number {
  const { flags } = segment;
  // First, check the ACK bit (R9293-15)
  const acked = (flags & ACK) !== 0;
  if (acked && !(after(segment.ack, tcb.iss) && !after(segment.ack, tcb.sndNxt))) {
    synAgainSoon(ctx, tcb);
    if ((flags & RST) !== 0) return Reason['synsent-bad-ack-rst'];
    ctx.resetReply = true;
    return Reason['synsent-bad-ack'];
  }
  // Second, check the RST bit (R9293-16, R5961-4)
  if ((flags & RST) !== 0) {
    if (!acked) return Reason['synsent-bad-ack-rst'];
    ctx.counters.bump(Mib.TcpAttemptFails);
    fail(ctx, tcb, 'ECONNREFUSED');
    return Reason['synsent-refused'];
  }
  // Third, security: no multilevel security here (R9293-68).
  // Fifth, if neither of the SYN or RST bits is set (R9293-19)
  if ((flags & SYN) === 0) return Reason['synsent-no-syn'];
  if (acked && segment.hasTimestamp && tcb.tsEnabled && !echoesOurs(ctx, tcb, segment)) {
    ctx.counters.bump(Mib.TcpExtPAWSActive);
    ctx.resetReply = true;
    return Reason['synsent-paws'];
  }
  if (!acked && ctx.config.dialect.pawsInSynSent && olderThanReopened(tcb, segment)) return Reason.paws;
  // Fourth, check the SYN bit (R9293-18)
  // Our SYN offered this much, unscaled.
  tcb.rcvAdv = (segment.seq + 1 + tcb.rcvWnd) | 0;
  tcb.rcvNxt = (segment.seq + 1) | 0;
  tcb.irs = segment.seq;
  peerOptions(ctx, tcb, segment);
  ecnFromAnswer(tcb, segment);
  tcb.lastHeardAt = ctx.now;
  if (!acked) {
    // MUST-10: simultaneous open
    if (ctx.config.dialect.repeatsOffers && ctx.config.windowScaling) tcb.rcvWscale = tcb.ownWscale;
    tcb.moveTo(S.SYN_RECEIVED);
    tcb.sndWnd = segment.wnd;
    tcb.maxSndWnd = segment.wnd;
    tcb.synOwed = true;
    return Reason['simultaneous-open'];
  }
  tcb.lastAckSent = tcb.rcvNxt;
  sampleRtt(ctx, tcb, segment);
  acknowledge(ctx, tcb, segment.ack);
  tcb.sndWnd = segment.wnd;
  tcb.maxSndWnd = segment.wnd;
  tcb.sndWl1 = segment.seq;
  tcb.sndWl2 = segment.ack;
  established(ctx, tcb);
  if (tcb.synText > 0) synTextAnswered(tcb);
  ackAnswer(ctx, tcb);
  if (ctx.config.dialect.dropsSynText && !tcb.fastOpen) {
    armSendTimers(ctx, tcb, true);
    return Reason.plain;
  }
  // What else the SYN,ACK carries is processed as in the sixth step and after.
  trim(tcb, segment, tcb.rcvNxt, tcb.rcvWnd);
  armSendTimers(ctx, tcb, true);
  if (text.length === 0 && !text.fin) return Reason.plain;
  return textAndFin(ctx, tcb, segment);
}

/** The other end still has an old connection, which our RST will end: no second is to be lost by that. */
function synAgainSoon(ctx: TcpContext, tcb: Tcb): void {
  const { synAgainAfter } = ctx.config.dialect;
  if (synAgainAfter === 0 || tcb.retries > 0) return;
  tcb.rtoAt = (ctx.now + synAgainAfter) | 0;
  tcb.arm(T_REXMT, tcb.rtoAt);
}

/** TS.Recent is known before the handshake when the tuple was in TIME-WAIT. */
function olderThanReopened(tcb: Tcb, segment: Segment): boolean {
  return tcb.tsRecentAt !== 0 && segment.hasTimestamp && greater(tcb.tsRecent, segment.tsVal);
}

/** Linux PAWSActive: an echo of a timestamp we did not send belongs to an older SYN. */
function echoesOurs(ctx: TcpContext, tcb: Tcb, segment: Segment): boolean {
  const first = (tcb.rttAt + tcb.tsOffset) | 0;
  const nowStamp = (ctx.now + tcb.tsOffset) | 0;
  return (
    segment.tsEcr === 0 ||
    (!before(segment.tsEcr, first) && !after(segment.tsEcr, nowStamp)) ||
    tcb.retries > 0
  );
}

function established(ctx: TcpContext, tcb: Tcb): void {
  tcb.moveTo(S.ESTABLISHED);
  // R9293-47: the user closed before the handshake was over
  if (tcb.finQueued) tcb.moveTo(S.FIN_WAIT_1);
  const early = tcb.earlyFrom !== null;
  if (!early) startSending(ctx, tcb);
  // R6298-19: a lost SYN and an RTO below 3 s: 3 s when data transmission begins
  if (tcb.repairs.totalRetrans > 0 && tcb.rtt.base < 3000) tcb.rtt.base = 3000;
  tcb.rtt.backoff = 0;
  tcb.retries = 0;
  timeoutsOver(ctx, tcb);
  tcb.softError = null;
  tcb.progressAt = ctx.now;
  tcb.lastSentAt = ctx.now;
  tcb.recover = tcb.iss;
  fitLimit(ctx, tcb);
  if (!early) {
    startPace(ctx, tcb);
    beginTuning(ctx, tcb);
    ctx.raise(tcb, EV_CONNECTED | (tcb.readable > 0 ? EV_READABLE : 0));
  }
  ctx.markReady(tcb);
}

/** 3.10.7.4 OTHER STATES */
function synchronized(ctx: TcpContext, tcb: Tcb, segment: Segment): number {
  const { flags } = segment;
  const { dialect } = ctx.config;
  const rst = (flags & RST) !== 0;
  if ((flags & (ACK | RST | SYN)) === 0 && dialect.dropsWithoutAck && !isHalfOpen(tcb))
    return Reason['no-ack-flag'];
  if (rst && dialect.bareResetsRequest && isHalfOpen(tcb) && (flags & (ACK | SYN | FIN)) !== 0)
    return Reason['rst-not-bare'];
  if (tcb.tsEnabled && !rst) {
    const reason = checkTimestamp(ctx, tcb, segment);
    if (reason !== Reason.plain) return reason;
  }
  // First, check sequence number
  let { seq, length } = segment;
  if ((flags & SYN) !== 0 && !rst) {
    // The peer repeats the SYN that made this connection; a SYN,ACK only where both ends opened.
    if (tcb.state === S.SYN_RECEIVED && seq === tcb.irs && ((flags & ACK) === 0 || tcb.active)) {
      if ((flags & ACK) === 0) return repeatedSyn(ctx, tcb, segment);
      // R9293-70: crossing SYN,ACKs of a simultaneous open: the ACK counts, the SYN is old
      if (dialect.acksCrossingSyn) {
        noteTwice(ctx, tcb, seq, (seq + 1) | 0);
        tcb.ackNow = true;
      }
      seq = (seq + 1) | 0;
      length--;
    } else {
      // Fourth, SYN: challenge ACK whatever the sequence number (R5961-6)
      if (dialect.synsAreErrors && tcb.state === S.ESTABLISHED) ctx.counters.bump(Mib.TcpInErrs);
      ctx.counters.bump(Mib.TcpExtTCPSYNChallenge);
      return challengeAck(ctx, tcb, Reason['syn-challenge']);
    }
  }
  const window = tcb.rcvWnd;
  if (!acceptable(dialect, tcb, segment, seq, length)) return notAcceptable(ctx, tcb, segment);
  tcb.lastHeardAt = ctx.now;
  tcb.keepProbes = 0;
  tcb.probes = 0;
  // Second, check the RST bit
  if (rst) {
    if (resetIsExact(dialect, tcb, seq)) return resetArrives(ctx, tcb);
    return challengeAck(ctx, tcb, Reason['rst-challenge']);
  }
  // Fifth, check the ACK field (R9293-25)
  if ((flags & ACK) === 0) return Reason['no-ack-flag'];
  if ((segment.tos & CODEPOINT) !== 0) countCodepoint(tcb, segment);
  if (!dialect.stampsByAck) recordTimestamp(ctx, tcb, segment, seq);
  if (segment.userTimeout > 0) tcb.remoteUto = segment.userTimeout;
  trim(tcb, segment, seq, window);
  const entered = tcb.state;
  const fromAck = ackArrives(ctx, tcb, segment, seq);
  if (fromAck !== Reason.plain || tcb.state === S.CLOSED) return fromAck;
  if (dialect.finAckConsumes && tcb.state !== entered && isConsumed(tcb, segment))
    return Reason['fin-ack-consumed'];
  // Sixth, check the URG bit
  if ((flags & URG) !== 0) urgentArrives(ctx, tcb, segment);
  if (length === 0) {
    ctx.counters.bump(Mib.TcpExtTCPPureAcks);
    return Reason.plain;
  }
  return textAndFin(ctx, tcb, segment);
}

/** Nothing is left of the connection but a record; text that an orphan cannot take is judged nevertheless. */
function isConsumed(tcb: Tcb, segment: Segment): boolean {
  if (segment.length === 0) return false;
  if (tcb.state === S.TIME_WAIT) return true;
  return tcb.state === S.FIN_WAIT_2 && tcb.userClosed && !tcb.orphanKept && !reachesBeyond(tcb, segment);
}

function repeatedSyn(ctx: TcpContext, tcb: Tcb, segment: Segment): number {
  ecnFromSyn(ctx, tcb, segment);
  tcb.synOwed = true;
  return Reason['syn-retransmitted'];
}

/** R9293-5, and what still counts in an unacceptable segment (R9293-70, MUST-66). */
function notAcceptable(ctx: TcpContext, tcb: Tcb, segment: Segment): number {
  const { flags } = segment;
  const { dialect } = ctx.config;
  if ((flags & RST) !== 0) {
    if (resetBeforeFin(dialect, tcb, segment.seq)) return resetArrives(ctx, tcb);
    return Reason['not-acceptable-rst'];
  }
  tcb.lastHeardAt = ctx.now;
  const known = beforeEq(segment.end, tcb.rcvNxt);
  if ((flags & ACK) !== 0 && tcb.state >= S.ESTABLISHED && ackStillCounts(dialect, tcb, segment, known)) {
    if (ackInRange(tcb, segment.ack)) {
      tcb.probes = 0;
      tcb.keepProbes = 0;
      if (after(segment.ack, tcb.sndUna)) newAck(ctx, tcb, segment);
    }
  }
  if (
    dialect.orphan === ORPHAN_BSD &&
    segment.payloadLength > 0 &&
    tcb.userClosed &&
    !known &&
    !tcb.peerClosed
  )
    return resetOrphan(ctx, tcb);
  if (after(segment.end, (tcb.rcvNxt + tcb.rcvWnd) | 0)) ctx.counters.bump(Mib.TcpExtBeyondWindow);
  if (tcb.rcvWnd === 0 && segment.seq === tcb.rcvNxt && segment.payloadLength > 0) {
    ctx.counters.bump(Mib.TcpExtTCPWantZeroWindowAdv);
    // MUST-66
    if ((flags & URG) !== 0) urgentArrives(ctx, tcb, segment);
    // R3168-21
    takeMark(ctx, tcb, segment);
    tcb.ackNow = true;
    return Reason['zero-window-probe'];
  }
  if (tcb.state === S.SYN_RECEIVED) {
    return outOfWindowAck(ctx, tcb, segment, Reason['not-acceptable'], Mib.TcpExtTCPACKSkippedSynRecv);
  }
  // The peer resends what it has no ACK for
  if (segment.length > 0 && before(segment.seq, tcb.rcvNxt)) hurryAcks(ctx, tcb);
  noteOld(ctx, tcb, segment);
  return outOfWindowAck(
    ctx,
    tcb,
    segment,
    known && segment.length > 0 ? Reason.duplicate : Reason['not-acceptable'],
    Mib.TcpExtTCPACKSkippedSeq,
  );
}

/** R9293-70: only the window was in the way, or exchanges crossed and the peer repeats what we have. */
function ackStillCounts(dialect: Dialect, tcb: Tcb, segment: Segment, known: boolean): boolean {
  if (dialect.acceptance === ACCEPT_LINUX) return false;
  return tcb.rcvWnd === 0 || (known && (segment.length > 0 || dialect.acceptance === ACCEPT_BSD));
}

/** RFC 5961 3.2 (2) */
function resetArrives(ctx: TcpContext, tcb: Tcb): number {
  const state = tcb.state;
  if (state === S.SYN_RECEIVED) {
    ctx.counters.bump(Mib.TcpAttemptFails);
    // A passive open returns to LISTEN: the listener was never left, so this TCB goes.
    fail(ctx, tcb, tcb.earlyFrom === null ? 'ECONNREFUSED' : 'ECONNRESET');
    return Reason['rst-syn-received'];
  }
  // R9293-52, R9293-53. After both FINs the user has all there is: no error is due.
  const orderly = (state === S.CLOSING || state === S.LAST_ACK) && !ctx.config.dialect.resetAlwaysError;
  fail(ctx, tcb, orderly ? null : state === S.CLOSE_WAIT ? 'EPIPE' : 'ECONNRESET');
  return Reason.rst;
}

function ackInRange(tcb: Tcb, ack: number): boolean {
  return !after(ack, tcb.sndNxt) && !before(ack, oldestAck(tcb));
}

/** R5961-8: SND.UNA - MAX.SND.WND; nothing below our ISN was ever sent, whatever the window (Linux, too). */
function oldestAck(tcb: Tcb): number {
  return (tcb.sndUna - Math.min(tcb.maxSndWnd, numbersAcked(tcb))) | 0;
}

/** Fifth, check the ACK field. */
function ackArrives(ctx: TcpContext, tcb: Tcb, segment: Segment, seq: number): number {
  const { ack } = segment;
  if (tcb.state === S.SYN_RECEIVED) {
    // R9293-22, R9293-23
    if (!after(ack, tcb.sndUna) || after(ack, tcb.sndNxt)) {
      ctx.resetReply = true;
      return Reason['syn-received-bad-ack'];
    }
    if (tcb.earlyFrom !== null) {
      established(ctx, tcb);
      newAck(ctx, tcb, segment);
      return Reason.plain;
    }
    if (ctx.config.dialect.stampsByAck) recordTimestamp(ctx, tcb, segment, seq);
    sampleRtt(ctx, tcb, segment);
    acknowledge(ctx, tcb, ack);
    // R7323-7: the window of a crossing SYN,ACK is not scaled
    tcb.sndWnd = (segment.flags & SYN) !== 0 ? segment.wnd : segment.wnd << tcb.sndWscale;
    // Note: a listener forgets the SYN's window, as Linux does
    tcb.maxSndWnd = tcb.active ? Math.max(tcb.maxSndWnd, tcb.sndWnd) : tcb.sndWnd;
    tcb.sndWl1 = segment.seq;
    tcb.sndWl2 = ack;
    established(ctx, tcb);
    if (tcb.synText > 0) synTextAnswered(tcb);
    armSendTimers(ctx, tcb, true);
    return Reason.plain;
  }
  // R9293-26
  if (after(ack, tcb.sndNxt)) {
    if (ctx.config.dialect.challengesUnsentAck) return challengeAck(ctx, tcb, Reason['ack-unsent']);
    return outOfWindowAck(ctx, tcb, segment, Reason['ack-unsent'], Mib.TcpExtTCPACKSkippedChallenge);
  }
  // R5961-8, R5961-9
  if (before(ack, oldestAck(tcb))) return challengeAck(ctx, tcb, Reason['ack-too-old']);
  if (ctx.config.dialect.stampsByAck && !before(ack, tcb.sndUna)) recordTimestamp(ctx, tcb, segment, seq);
  newAck(ctx, tcb, segment);
  return Reason.plain;
}

/** An ACK in the valid range: SND.UNA, the window, loss detection, and the states that wait for our FIN's ACK. */
function newAck(ctx: TcpContext, tcb: Tcb, segment: Segment): void {
  const { ack } = segment;
  const advanced = after(ack, tcb.sndUna);
  // The path works again, whatever was reported
  if (!before(ack, tcb.sndUna)) tcb.softError = null;
  // An ACK lets out what only MSG_MORE held back (Linux tcp_data_snd_check)
  tcb.moreFollows = false;
  tcb.sent?.beginAck();
  const freshSack = takeSack(ctx, tcb, segment);
  const oldWindow = tcb.sndWnd;
  const windowChanged = updateWindow(ctx, tcb, segment);
  let bytes = 0;
  let duplicate = false;
  if (advanced) {
    if (!ctx.config.dialect.boundsVariance) sampleRtt(ctx, tcb, segment);
    bytes = acknowledge(ctx, tcb, ack);
  } else if (tcb.sackEnabled) {
    // RFC 6675 2: new SACK information makes a duplicate, whatever number an ACK that was overtaken carries
    duplicate = freshSack;
  } else if (ack === tcb.sndUna && tcb.flight > 0 && (tcb.sndWnd > 0 || ctx.config.dialect.windowByAck)) {
    // Note: the answers to window probes meet R5681-2 to the letter, and say nothing about loss. To Linux they are window updates.
    // R5681-2: no payload, no SYN or FIN, the window unchanged
    const pure = segment.payloadLength === 0 && (segment.flags & FIN) === 0;
    duplicate = pure && !windowChanged && mayCount(ctx, tcb);
  }
  if (!before(ack, tcb.sndUna) || freshSack || tcb.dsacked > 0)
    digest(ctx, tcb, segment, bytes, advanced, duplicate);
  // The window reopened over an unanswered probe or lost data: resend from SND.UNA
  if (oldWindow === 0 && tcb.sndWnd > 0) {
    tcb.disarm(T_PERSIST);
    tcb.probes = 0;
    // Probes without data lose none: what is in flight waits for its timer (Linux tcp_ack_probe)
    if (tcb.flight > 0 && !ctx.config.dialect.probesWithoutData) resendAll(tcb);
  }
  if (windowChanged || advanced) ctx.markReady(tcb);
  // R6582-6: only the first partial acknowledgment restarts the timer, many losses may end in a timeout
  const impatient = tcb.recovery === RECOVERY && tcb.partialAcks > 1 && !ctx.config.dialect.steadyRecovery;
  armSendTimers(ctx, tcb, advanced && !impatient);
  if (tcb.finAcked) ourFinAcked(ctx, tcb, segment);
}

/**
 * One of the segments in flight is the lost one: so many duplicates there can be. More mean that
 * order differs, by no more than is in flight.
 */
function mayCount(ctx: TcpContext, tcb: Tcb): boolean {
  if (!ctx.config.dialect.limitsDuplicates || tcb.sent === null) return true;
  if (synLossLasts(tcb)) return false;
  const segments = tcb.sent.segments();
  if (tcb.dupAcks + 1 < segments) return true;
  orderDiffers(ctx, tcb, segments);
  return false;
}

/** True: the window changed. Note: to Linux one that was taken anew is no sign of a duplicate either (FLAG_WIN_UPDATE). */
function updateWindow(ctx: TcpContext, tcb: Tcb, segment: Segment): boolean {
  const { seq, ack } = segment;
  const { windowByAck } = ctx.config.dialect;
  if (before(ack, tcb.sndUna) || !mayUpdateWindow(tcb, segment, windowByAck)) return false;
  const window = segment.wnd << tcb.sndWscale;
  const changed = windowByAck || window !== tcb.sndWnd;
  tcb.sndWnd = window;
  tcb.sndWl1 = seq;
  tcb.sndWl2 = ack;
  if (window > tcb.maxSndWnd) tcb.maxSndWnd = window;
  return changed;
}

/** One sample per round trip: R7323-33, R7323-34 with timestamps, Karn's rule (R6298-9) without. */
function sampleRtt(ctx: TcpContext, tcb: Tcb, segment: Segment): void {
  if (!tcb.rttRunning || !after(segment.ack, tcb.rttSeq)) return;
  tcb.rttRunning = false;
  if (tcb.tsEnabled && segment.hasTimestamp && segment.tsEcr !== 0) {
    const rtt = (ctx.now + tcb.tsOffset - segment.tsEcr) | 0;
    if (rtt >= 0) takeRtt(ctx, tcb, segment.ack, rtt);
    return;
  }
  if (tcb.retries === 0) takeRtt(ctx, tcb, segment.ack, (ctx.now - tcb.rttAt) | 0);
}

function takeRtt(ctx: TcpContext, tcb: Tcb, ack: number, rtt: number): void {
  tcb.rtt.sample(rtt, ack, tcb.sndNxt);
  sampleMinRtt(ctx, tcb, rtt);
}
