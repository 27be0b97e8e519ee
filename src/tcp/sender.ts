/**
 * The sender's side of an acknowledgment: what it ends, what it lets the window do, how
 * a connection dies. RFC 5681, RFC 6582 (no SACK), RFC 6675 and RFC 8985 (SACK), with
 * the proportional rate reduction of RFC 6937.
 */
import { after, before, max } from '../seqnum.js';
import { Mib } from '../mib.js';
import type { Segment } from '../wire/segment.js';
import { checkSpace } from './buffers.js';
import { C_BUSY } from './chrono.js';
import type { PathFacts } from './congestion/control.js';
import type { TcpContext } from './context.js';
import { echoesMark, owesCwr, reactionOver, waitAtOneSegment } from './ecn.js';
import {
  EV_CLOSED,
  EV_FLUSHED,
  EV_READABLE,
  EV_SOFT_ERROR,
  EV_STAMPED,
  type ConnectionError,
} from './events.js';
import {
  DUP_THRESH,
  MOST_REORDERING,
  detectLoss,
  found,
  inEpisode,
  rackRecovered,
  rackUpdate,
} from './rack.js';
import { sampleRate } from './rate.js';
import { Reordering } from './reordering.js';
import { repairsOf } from './repairs.js';
import type { Sent } from './sent.js';
import { probeLost, sizeAcknowledged } from './mtu-search.js';
import * as S from './state.js';
import { LOSS, OPEN, RECOVERY, type Tcb } from './tcb.js';
import { isPaced } from './user-options.js';
import { usesWindow } from './validation.js';

/** Ends the connection: queues of the sender flushed, the user told. The stack removes it. */
export function fail(ctx: TcpContext, tcb: Tcb, error: ConnectionError | null): void {
  // RFC 4022 tcpEstabResets
  if (tcb.state === S.ESTABLISHED || tcb.state === S.CLOSE_WAIT) ctx.counters.bump(Mib.TcpEstabResets);
  tcb.error = error;
  tcb.sendQueue.clear();
  tcb.reassembly = null;
  tcb.sent = null;
  tcb.writes = null;
  tcb.armed = 0;
  tcb.moveTo(S.CLOSED);
  ctx.charge(tcb);
  ctx.raise(tcb, EV_CLOSED | EV_READABLE);
}

/** Tells the user of trouble that ends nothing (MUST-47, SHLD-9), unless he does not want to hear of it (SHLD-20). */
export function report(ctx: TcpContext, tcb: Tcb, error: ConnectionError): void {
  tcb.softError = error;
  if (tcb.options.errorReports) ctx.raise(tcb, EV_SOFT_ERROR);
}

const facts: PathFacts = { mss: 0, now: 0, srtt: 0, rtt: -1, una: 0, nxt: 0, paced: false };

/** What congestion control is told; valid until the next call. */
export function pathFacts(ctx: TcpContext, tcb: Tcb): PathFacts {
  facts.mss = tcb.mss;
  facts.now = ctx.now;
  facts.srtt = tcb.rtt.srtt;
  facts.una = tcb.sndUna;
  facts.nxt = tcb.sndNxt;
  facts.paced = isPaced(ctx.config, tcb);
  return facts;
}

/** What ssthresh is taken from: R5681-25, FlightSize without what limited transmit let out. Linux: cwnd. */
export function atRisk(ctx: TcpContext, tcb: Tcb): number {
  return ctx.config.dialect.countsSegments ? tcb.congestion.cwnd : tcb.flight - tcb.limitedBytes;
}

/**
 * All that is in flight was lost for another reason than congestion (a smaller path MTU, a
 * window that was closed): resent as the window permits, which stays as it is.
 */
export function resendAll(tcb: Tcb): void {
  if (tcb.sent === null || tcb.sent.count === 0) return;
  tcb.sent.loseAll(false);
  if (tcb.recovery === RECOVERY) tcb.congestion.cwnd = tcb.congestion.ssthresh;
  else if (tcb.reducing) reductionOver(tcb);
  tcb.recovery = LOSS;
  tcb.recover = tcb.sndNxt;
  tcb.undoable = false;
}

/**
 * Takes the SACK blocks of a segment; true when one told something new. The first may be
 * a D-SACK: compared with the ACK field beside it, never with SND.UNA (R2883-6).
 */
export function takeSack(ctx: TcpContext, tcb: Tcb, segment: Segment): boolean {
  tcb.dsacked = 0;
  if (!tcb.sackEnabled || segment.sackCount === 0) return false;
  const { sack, sackCount } = segment;
  let first = 0;
  const left = sack[0]!;
  const right = sack[1]!;
  // R2883-7: above the ACK when it lies within the second block
  const inSecond = sackCount > 1 && !before(left, sack[2]!) && !after(right, sack[3]!);
  if (after(right, left) && (before(left, segment.ack) || inSecond)) {
    first = 1;
    noteDuplicate(ctx, tcb, left, right, !before(left, segment.ack));
  }
  const { sent } = tcb;
  if (sent === null || tcb.outstanding === 0) return false;
  if (first === 1) countDuplicate(ctx, tcb, segment.ack, left, right);
  const whole = ctx.config.dialect.sacksWhole;
  let fresh = false;
  for (let i = first; i < sackCount; i++) {
    const left = sack[2 * i]!;
    const right = sack[2 * i + 1]!;
    if (whole ? sent.sackWhole(left, right) : sent.sack(left, right)) fresh = true;
    else if (isNonsense(tcb, segment.ack, left, right)) ctx.counters.bump(Mib.TcpExtTCPSACKDiscard);
  }
  return fresh;
}

/** The ACK may be about a loss, or loss is what it finds the sender with. */
export function mayTellOfLoss(tcb: Tcb, segment: Segment): boolean {
  if (tcb.flight === 0) return false;
  return (
    tcb.recovery !== OPEN ||
    segment.sackCount > 0 ||
    (segment.ack === tcb.sndUna && segment.payloadLength === 0)
  );
}

/** R2883-9: a D-SACK marks nothing. Only what can have been sent lately, and was resent, counts (Linux tcp_dsack_seen). */
function noteDuplicate(ctx: TcpContext, tcb: Tcb, left: number, right: number, above: boolean): void {
  ctx.counters.bump(above ? Mib.TcpExtTCPDSACKOfoRecv : Mib.TcpExtTCPDSACKRecv);
  const bytes = (right - left) | 0;
  const segments = Math.ceil(bytes / tcb.mss);
  if (bytes <= tcb.maxSndWnd) repairsOf(tcb).dsacks += segments;
  const { dsacks, totalRetrans } = tcb.repairs;
  const old = before(left, (tcb.sndUna - tcb.maxSndWnd) | 0);
  if (old || after(right, tcb.sndNxt) || bytes > tcb.maxSndWnd || dsacks > totalRetrans) {
    ctx.counters.bump(Mib.TcpExtTCPDSACKIgnoredDubious);
    return;
  }
  ctx.counters.add(Mib.TcpExtTCPDSACKRecvSegs, segments);
  tcb.dsacked = bytes;
  if (inEpisode(tcb, left, right)) tcb.undoResent -= bytes;
}

/** A D-SACK that concerns nothing that could be undone (Linux tcp_is_sackblock_valid). */
function countDuplicate(ctx: TcpContext, tcb: Tcb, ack: number, left: number, right: number): void {
  const una = max(ack, tcb.sndUna);
  if (tcb.dsacked === 0 || after(left, una)) return;
  const crossing = after(right, tcb.undoUna) && !before(left, (right - tcb.maxSndWnd) | 0);
  if (!tcb.undoable) ctx.counters.bump(Mib.TcpExtTCPDSACKIgnoredNoUndo);
  else if (after(right, una) || (before(left, tcb.undoUna) && !crossing))
    ctx.counters.bump(Mib.TcpExtTCPDSACKIgnoredOld);
}

/** A block that says nothing of what is in flight, nor did before it was overtaken by another ACK. */
function isNonsense(tcb: Tcb, ack: number, left: number, right: number): boolean {
  const una = max(ack, tcb.sndUna);
  if (after(right, left) && !after(right, tcb.sndNxt) && after(left, una)) return false;
  return ack === una || after(right, una);
}

/** Without SACK: `segments` apart, by all that is known. */
export function orderDiffers(ctx: TcpContext, tcb: Tcb, segments: number): void {
  tcb.reordering = Math.min(segments, MOST_REORDERING);
  (tcb.reorder ??= new Reordering()).cases++;
  ctx.counters.bump(Mib.TcpExtTCPRenoReorder);
}

/**
 * Our SYN timed out, and nothing beyond it was acknowledged: without SACK that loss is not over yet
 * (R6582-8; Linux tcp_try_undo_recovery).
 */
export function synLossLasts(tcb: Tcb): boolean {
  return tcb.active && tcb.repairs.timeouts > 0 && !tcb.sackEnabled && tcb.sndUna === ((tcb.iss + 1) | 0);
}

/** Sequence numbers acknowledged, as Linux counts: the SYN of an active opener, text, FIN. */
export function numbersAcked(tcb: Tcb): number {
  return tcb.bytesAcked + (tcb.active && tcb.synAcked ? 1 : 0) + (tcb.finAcked ? 1 : 0);
}

/**
 * SND.UNA < SEG.ACK <= SND.NXT: the acknowledged bytes leave the queue (R9293-27).
 * Returns how many bytes of data they were.
 */
export function acknowledge(ctx: TcpContext, tcb: Tcb, ack: number): number {
  let bytes = (ack - tcb.sndUna) | 0;
  if (!tcb.synAcked) {
    tcb.synAcked = true;
    tcb.rate.delivered++;
    bytes--;
  }
  const finAcked = tcb.finSent && ack === tcb.sndNxt;
  if (finAcked) bytes--;
  tcb.sndUna = ack;
  if (bytes > 0) tcb.sendQueue.release(bytes);
  tcb.bytesAcked += bytes;
  tcb.sent?.acknowledge(ack);
  sizeAcknowledged(ctx, tcb, ack);
  if (tcb.sndUrgent && !after(tcb.sndUp, ack)) tcb.sndUrgent = false;
  tcb.retries = 0;
  // R6675-10
  tcb.dupAcksEnded = tcb.dupAcks;
  tcb.dupAcks = 0;
  // What was in the way is not any more.
  tcb.softError = null;
  tcb.progressAt = ctx.now;
  // R6582-12: near SND.UNA, or the serial comparison would turn round after 2^31 bytes without loss
  if (tcb.recovery === OPEN && after(ack, tcb.recover)) tcb.recover = (ack - 1) | 0;
  tcb.writes?.acknowledge(ack);
  if (tcb.stamps?.acked(ack, ctx.now) === true) ctx.raise(tcb, EV_STAMPED);
  if (tcb.sendQueue.length === 0) tcb.chrono.stop(C_BUSY, true, ctx.now);
  // Serial numbers that are compared later stay near
  if (before(tcb.sndSmall, ack)) tcb.sndSmall = ack;
  if (before(tcb.burstEnd, ack)) tcb.burstEnd = ack;
  if (!ctx.config.dialect.keepsBuffers) checkSpace(ctx, tcb);
  if (tcb.sendQueue.length === 0 && (!tcb.finQueued || finAcked)) ctx.raise(tcb, EV_FLUSHED);
  ctx.markReady(tcb);
  return bytes;
}

/**
 * What an ACK means for loss and congestion, after `takeSack` and `acknowledge`. `bytes`
 * were newly acknowledged; `advanced`: SND.UNA moved; `duplicate`: R5681-2 or new SACK information.
 */
export function digest(
  ctx: TcpContext,
  tcb: Tcb,
  segment: Segment,
  bytes: number,
  advanced: boolean,
  duplicate: boolean,
): void {
  const { sent } = tcb;
  if (sent === null) return;
  if (tcb.reducing && reactionOver(tcb)) reductionOver(tcb);
  tcb.marked = echoesMark(tcb, segment);
  if (tcb.marked) noteMark(ctx, tcb);
  sampleDelivered(ctx, tcb, sent, segment, advanced);
  rackUpdate(ctx, tcb, sent, segment);
  sampleRate(ctx, tcb, sent, deliveredSegments(tcb, sent, advanced, duplicate));
  if (tcb.tlpOut) probeAnswered(ctx, tcb, segment, advanced);
  const proof = spurious(ctx, tcb, sent, segment, advanced);
  if (proof !== NO_UNDO) undo(ctx, tcb, sent, proof);
  if (duplicate) {
    tcb.dupAcks++;
    ctx.markReady(tcb);
  }
  if (tcb.sackEnabled) withSack(ctx, tcb, sent, bytes, advanced);
  else withoutSack(ctx, tcb, sent, bytes, advanced, duplicate);
  if (tcb.recovery === OPEN && sent.sacked === 0 && tcb.dupAcks === 0) tcb.limitedBytes = 0;
}

/** What this ACK delivered; without SACK a duplicate stands for a segment (Linux tcp_add_reno_sack, tcp_remove_reno_sacks). */
function deliveredSegments(tcb: Tcb, sent: Sent, advanced: boolean, duplicate: boolean): number {
  if (tcb.sackEnabled) return sent.packets;
  return advanced ? Math.max(1, sent.packets - tcb.dupAcksEnded) : duplicate ? 1 : 0;
}

/** R3168-11: a mark is answered like a loss, once for each window of data, and nothing is resent. */
function noteMark(ctx: TcpContext, tcb: Tcb): void {
  // It was no false alarm.
  tcb.undoable = false;
  if (tcb.reducing || tcb.recovery === RECOVERY || waitAtOneSegment(ctx, tcb)) return;
  if (tcb.recovery !== OPEN) return;
  const { congestion, mss } = tcb;
  const { cwnd } = congestion;
  congestion.reduce(cwnd, pathFacts(ctx, tcb));
  tcb.reducing = true;
  tcb.reducedEnd = tcb.sndNxt;
  tcb.reduceTo = cwnd <= 2 * mss && ctx.config.dialect.markFloor === 1 ? mss : congestion.ssthresh;
  beginRate(tcb, cwnd);
  owesCwr(tcb);
}

function reductionOver(tcb: Tcb): void {
  tcb.reducing = false;
  tcb.congestion.cwnd = tcb.reduceTo;
}

/** R6937-1 */
function beginRate(tcb: Tcb, flight: number): void {
  tcb.recoverFs = flight;
  tcb.prrDelivered = 0;
  tcb.prrOut = 0;
}

/** Linux tcp_ack_update_rtt: a sample for each ACK that delivered something that was sent once. */
function sampleDelivered(ctx: TcpContext, tcb: Tcb, sent: Sent, segment: Segment, advanced: boolean): void {
  facts.rtt = sent.original > 0 ? (ctx.now - sent.originalLatest) | 0 : -1;
  if (facts.rtt >= 0) tcb.congestion.measured(pathFacts(ctx, tcb), ctx.counters);
  if (!ctx.config.dialect.boundsVariance) return;
  let rtt = -1;
  if (sent.original > 0 && sent.repeated === 0) rtt = (ctx.now - sent.originalTime) | 0;
  else if (advanced && tcb.tsEnabled && segment.hasTimestamp && segment.tsEcr !== 0)
    rtt = (ctx.now + tcb.tsOffset - segment.tsEcr) | 0;
  if (rtt >= 0) tcb.rtt.sample(rtt, tcb.sndUna, tcb.sndNxt);
}

function withSack(ctx: TcpContext, tcb: Tcb, sent: Sent, bytes: number, advanced: boolean): void {
  let ended = false;
  // R6675-14
  if (tcb.recovery !== OPEN && advanced && !before(tcb.sndUna, tcb.recover)) {
    // R6937-6
    if (tcb.recovery === RECOVERY) {
      tcb.congestion.cwnd = tcb.congestion.ssthresh;
      ended = true;
    }
    recovered(ctx, tcb);
  }
  detectLoss(ctx, tcb, sent);
  if (found.bytes > 0) ctx.markReady(tcb);
  if (tcb.recovery === OPEN) {
    if (sent.lost > 0) {
      if (enterRecovery(ctx, tcb, sent)) reduceRate(ctx, tcb, sent, sent.delivered, false);
      // R6582-13: what ended recovery does not open the window as well
    } else if (tcb.reducing) reduceRate(ctx, tcb, sent, sent.delivered, advanced);
    else if (!ended && mayRaise(ctx, tcb, sent, advanced)) grow(ctx, tcb, sent, bytes);
  } else if (tcb.recovery === RECOVERY) {
    if (found.again) lostAgain(ctx, tcb);
    reduceRate(ctx, tcb, sent, sent.delivered, advanced && found.bytes === 0);
  } else grow(ctx, tcb, sent, sent.delivered);
}

/** New data was acknowledged; where reordering is common Linux takes SACK blocks for it (tcp_may_raise_cwnd). */
function mayRaise(ctx: TcpContext, tcb: Tcb, sent: Sent, advanced: boolean): boolean {
  if (!ctx.config.dialect.countsSegments || tcb.reordering <= ctx.config.reordering) return advanced;
  return sent.delivered > 0;
}

/** Something was found lost by a timer. */
export function lossFound(ctx: TcpContext, tcb: Tcb, sent: Sent): void {
  if (tcb.recovery === OPEN) {
    if (enterRecovery(ctx, tcb, sent)) reduceRate(ctx, tcb, sent, tcb.mss, false);
  } else if (tcb.recovery === RECOVERY && found.again) lostAgain(ctx, tcb);
  ctx.markReady(tcb);
}

/** False: only a probe of the path MTU was lost, which needs no recovery. */
function enterRecovery(ctx: TcpContext, tcb: Tcb, sent: Sent): boolean {
  if (probeLost(ctx, tcb, sent)) return false;
  tcb.recovery = RECOVERY;
  tcb.recover = tcb.sndNxt;
  tcb.rttRunning &&= tcb.tsEnabled;
  const flight = atRisk(ctx, tcb);
  // R3168-11: a mark in the same window was answered already, and stays answered
  const reduced = tcb.reducing;
  tcb.reducing = false;
  if (!reduced) tcb.congestion.reduce(flight, pathFacts(ctx, tcb));
  owesCwr(tcb);
  tcb.limitedBytes = 0;
  tcb.reducedAt = ctx.now;
  tcb.tlpOwed = false;
  beginEpisode(tcb, sent);
  if (reduced) tcb.undoable = false;
  ctx.counters.bump(Mib.TcpExtTCPFastRetrans);
  if (tcb.sackEnabled) {
    ctx.counters.bump(Mib.TcpExtTCPSackRecovery);
    if (!reduced) beginRate(tcb, flight);
    tcb.rescued = false;
    return true;
  }
  ctx.counters.bump(Mib.TcpExtTCPRenoRecovery);
  // R5681-26: the three duplicates left the network
  tcb.congestion.cwnd = tcb.congestion.ssthresh;
  tcb.inflation = 3 * tcb.mss;
  tcb.partialAcks = 0;
  sent.isolate(tcb.sndUna, tcb.mss);
  tcb.rexmtOwed = true;
  return true;
}

/** From here on a reduction may prove wrong. What an earlier episode resent and is still under way counts with this one. */
export function beginEpisode(tcb: Tcb, sent: Sent): void {
  tcb.undoable = true;
  tcb.undoUna = tcb.sndUna;
  tcb.undoResent = sent.again;
  if (sent.again === 0) tcb.resentOnce = false;
  tcb.frto = false;
}

/** RFC 6937 3: how much may be sent for what was delivered (R6937-2 .. R6937-5). */
function reduceRate(ctx: TcpContext, tcb: Tcb, sent: Sent, delivered: number, healthy: boolean): void {
  if (delivered <= 0) return;
  const { mss, congestion } = tcb;
  const ssthresh = tcb.reducing ? tcb.reduceTo : congestion.ssthresh;
  const inNetwork = sent.pipe;
  tcb.prrDelivered += delivered;
  let count: number;
  if (inNetwork > ssthresh) {
    // R6937-3
    count = Math.ceil((tcb.prrDelivered * ssthresh) / Math.max(1, tcb.recoverFs)) - tcb.prrOut;
  } else {
    // R6937-4: slow start up to ssthresh while all goes well, else what left the network may be replaced
    const limit = Math.max(tcb.prrDelivered - tcb.prrOut, delivered) + (healthy ? mss : 0);
    count = Math.min(ssthresh - inNetwork, limit);
  }
  // R6675-13: the first retransmission goes out in any case
  if (tcb.prrOut === 0) count = Math.max(count, mss);
  if (ctx.config.dialect.countsSegments) count = Math.ceil(count / mss) * mss;
  congestion.cwnd = inNetwork + Math.max(0, count);
}

/** R5681-37: a retransmission was lost, too: another reduction, once in a round trip. */
function lostAgain(ctx: TcpContext, tcb: Tcb): void {
  // Linux leaves it at one reduction until recovery is over.
  if (ctx.config.dialect.countsSegments) return;
  if (((ctx.now - tcb.reducedAt) | 0) < Math.max(1, tcb.rackRtt)) return;
  tcb.congestion.reduce(tcb.congestion.ssthresh, pathFacts(ctx, tcb));
  tcb.undoable = false;
  tcb.reducedAt = ctx.now;
  tcb.recover = tcb.sndNxt;
  owesCwr(tcb);
  beginRate(tcb, tcb.flight);
}

function recovered(ctx: TcpContext, tcb: Tcb): void {
  if (tcb.recovery === LOSS) timeoutsOver(ctx, tcb);
  tcb.recovery = OPEN;
  tcb.inflation = 0;
  tcb.limitedBytes = 0;
  rackRecovered(tcb);
}

/** What timeouts began is over: the time it took counts (Linux tcp_update_rto_time). */
export function timeoutsOver(ctx: TcpContext, tcb: Tcb): void {
  if (!tcb.repairs.timingOut) return;
  const repairs = repairsOf(tcb);
  repairs.timingOut = false;
  repairs.timeoutTime += (ctx.now - repairs.timeoutAt) | 0;
}

/** The ACK that filled the hole took one segment; if duplicates stand for more than is left, order differs (Linux tcp_remove_reno_sacks). */
function checkDuplicates(ctx: TcpContext, tcb: Tcb, sent: Sent): void {
  const left = tcb.dupAcksEnded - Math.max(0, sent.packets - 1);
  const segments = left > 0 ? sent.segments() : 0;
  if (segments > 0 && left + 1 > segments) orderDiffers(ctx, tcb, segments + sent.packets);
}

/** Duplicates that mean a loss: R5681-21. */
function threshold(ctx: TcpContext, tcb: Tcb): number {
  return ctx.config.dialect.limitsDuplicates ? tcb.reordering : DUP_THRESH;
}

/** RFC 5681 3.2 and RFC 6582 3.2: duplicates are all there is to go by. */
function withoutSack(
  ctx: TcpContext,
  tcb: Tcb,
  sent: Sent,
  bytes: number,
  advanced: boolean,
  duplicate: boolean,
): void {
  if (duplicate) {
    // R5681-27: each further duplicate means one segment left the network
    if (tcb.recovery === RECOVERY) tcb.inflation = Math.min(tcb.inflation + tcb.mss, tcb.flight);
    // R5681-21; R6582-2: not again for losses of the window that was repaired last
    else if (tcb.recovery === OPEN && tcb.dupAcks >= threshold(ctx, tcb) && after(tcb.sndUna, tcb.recover))
      enterRecovery(ctx, tcb, sent);
    return;
  }
  if (!advanced) return;
  if (ctx.config.dialect.limitsDuplicates) checkDuplicates(ctx, tcb, sent);
  if (tcb.recovery === OPEN) {
    if (tcb.reducing) reduceRate(ctx, tcb, sent, sent.delivered, true);
    else grow(ctx, tcb, sent, bytes);
  } else if (!before(tcb.sndUna, tcb.recover)) {
    // R6582-3: full acknowledgment; no burst when little is in flight
    const { congestion, mss, flight } = tcb;
    if (tcb.recovery === RECOVERY)
      congestion.cwnd = Math.min(congestion.ssthresh, Math.max(flight, mss) + mss);
    else grow(ctx, tcb, sent, bytes);
    recovered(ctx, tcb);
  } else if (tcb.recovery === LOSS) grow(ctx, tcb, sent, bytes);
  else {
    // R6582-4, R6582-5: partial acknowledgment: resend the first unacknowledged segment, deflate
    tcb.inflation = tcb.inflation - bytes + (bytes >= tcb.mss ? tcb.mss : 0);
    if (tcb.inflation < -tcb.congestion.cwnd) tcb.inflation = -tcb.congestion.cwnd;
    sent.isolate(tcb.sndUna, tcb.mss);
    tcb.rexmtOwed = true;
    tcb.partialAcks++;
  }
}

/** New data was acknowledged: the window grows if it was what held the sender back (validation.ts). */
function grow(ctx: TcpContext, tcb: Tcb, sent: Sent, acknowledged: number): void {
  const { congestion } = tcb;
  const bytes = ctx.config.dialect.countsSegments ? deliveredNow(tcb, sent, acknowledged) : acknowledged;
  // R5681-6: the handshake does not open the window; R3168-12: nor does what says that a mark was seen
  if (bytes <= 0 || tcb.marked) return;
  // R3465-2: in slow start after a timeout one segment for an ACK
  const most = tcb.recovery === LOSS && congestion.slowStartLimit < 100 ? tcb.mss : bytes;
  if (usesWindow(tcb) || tcb.recovery === LOSS) {
    congestion.acked(Math.min(bytes, most), pathFacts(ctx, tcb));
    tcb.windowUsedAt = ctx.now;
  } else congestion.held(ctx.now);
}

/** What this ACK and no earlier one delivered; without SACK a duplicate stands for a segment (tcp_remove_reno_sacks). */
function deliveredNow(tcb: Tcb, sent: Sent, acknowledged: number): number {
  if (tcb.sackEnabled) return sent.delivered;
  return Math.min(acknowledged, Math.max(acknowledged - tcb.dupAcksEnded * tcb.mss, tcb.mss));
}

/** 7.4.2 of RFC 8985: did the probe repair a loss, or was it needless? */
function probeAnswered(ctx: TcpContext, tcb: Tcb, segment: Segment, advanced: boolean): void {
  if (before(segment.ack, tcb.tlpEnd)) return;
  if (!tcb.tlpResent || tcb.dsacked > 0) {
    tcb.tlpOut = false;
    return;
  }
  if (after(segment.ack, tcb.tlpEnd)) {
    tcb.tlpOut = false;
    if (tcb.recovery !== OPEN || tcb.reducing) return;
    // R8985-18: the only loss, repaired by the probe, is a sign of congestion like any other
    ctx.counters.bump(Mib.TcpExtTCPLossProbeRecovery);
    tcb.congestion.reduce(atRisk(ctx, tcb), pathFacts(ctx, tcb));
    tcb.congestion.cwnd = Math.min(tcb.congestion.cwnd, tcb.congestion.ssthresh);
    owesCwr(tcb);
    return;
  }
  // A duplicate with nothing in it: both copies arrived
  if (!advanced && segment.payloadLength === 0 && segment.sackCount === 0) tcb.tlpOut = false;
}

const NO_UNDO = -1;

/** Was what began this episode no loss at all? The counter of what proves it, or NO_UNDO. */
function spurious(ctx: TcpContext, tcb: Tcb, sent: Sent, segment: Segment, advanced: boolean): number {
  if (!tcb.undoable || !tcb.resentOnce) return NO_UNDO;
  const { recovery } = tcb;
  const whole = recovery === RECOVERY && !before(tcb.sndUna, tcb.recover);
  // RFC 3522: the ACK echoes a timestamp from before the first retransmission
  const stamped = recovery !== OPEN && advanced && tcb.tsEnabled && segment.hasTimestamp;
  if (stamped && segment.tsEcr !== 0 && before(segment.tsEcr, (tcb.resentAt + tcb.tsOffset) | 0)) {
    if (recovery === LOSS) return Mib.TcpExtTCPLossUndo;
    return whole ? Mib.TcpExtTCPFullUndo : Mib.TcpExtTCPPartialUndo;
  }
  // RFC 5682 3 with SACK: after a timeout, data arrives that was never resent
  if (recovery === LOSS && tcb.frto && tcb.sackEnabled && sent.original > 0) {
    if (before(sent.originalTime, tcb.resentAt)) {
      ctx.counters.bump(Mib.TcpExtTCPSpuriousRTOs);
      return Mib.TcpExtTCPLossUndo;
    }
  }
  // All that was resent arrived twice (RFC 3708 3), be it known only when recovery is over (Linux tcp_try_undo_dsack)
  if (tcb.dsacked === 0 || tcb.undoResent > 0 || tcb.reducing) return NO_UNDO;
  if (recovery === LOSS) return Mib.TcpExtTCPLossUndo;
  return whole ? Mib.TcpExtTCPFullUndo : Mib.TcpExtTCPDSACKUndo;
}

/** R9438-11 and Linux tcp_undo_cwnd_reduction: as if nothing had happened. */
function undo(ctx: TcpContext, tcb: Tcb, sent: Sent, counter: number): void {
  ctx.counters.bump(counter);
  tcb.congestion.undo();
  tcb.cwrOwed = false;
  tcb.undoable = false;
  if (tcb.recovery === OPEN) return;
  sent.restore();
  tcb.rexmtOwed = false;
  tcb.rtt.backoff = 0;
  recovered(ctx, tcb);
}
