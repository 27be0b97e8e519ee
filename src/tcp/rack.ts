/** Loss detection by time: RACK (RFC 8985 6). With knob tcp_recovery 0 by count: RFC 6675. */
import { after, before } from '../seqnum.js';
import { Mib } from '../mib.js';
import type { Segment } from '../wire/segment.js';
import type { TcpContext } from './context.js';
import { Reordering } from './reordering.js';
import { LOST, RESENT, SACKED, SENT, sentAfter, type Sent } from './sent.js';
import { OPEN, type Tcb } from './tcb.js';

/** Half of the time that a smallest RTT is remembered, ms (Linux tcp_min_rtt_wlen: 300 s). */
const MIN_RTT_HALF = 150_000;
export const DUP_THRESH = 3;
/** Recoveries without D-SACK after which the reordering window shrinks again (R8985-9). */
const PERSIST = 16;
const MOST_STEPS = 255;
/** Segments (Linux tcp_max_reordering). */
export const MOST_REORDERING = 300;

/** Smallest RTT of the last minutes, ms; 0 while unknown. */
export function minRtt(tcb: Tcb): number {
  const { minRttNow, minRttBefore } = tcb;
  if (minRttBefore < 0) return minRttNow < 0 ? 0 : minRttNow;
  return minRttNow < 0 ? minRttBefore : Math.min(minRttNow, minRttBefore);
}

/** R8985-4: a windowed minimum, of two halves. */
export function sampleMinRtt(ctx: TcpContext, tcb: Tcb, rtt: number): void {
  if ((ctx.now - tcb.minRttAt) >>> 0 > MIN_RTT_HALF) {
    tcb.minRttBefore = (ctx.now - tcb.minRttAt) >>> 0 > 2 * MIN_RTT_HALF ? -1 : tcb.minRttNow;
    tcb.minRttNow = -1;
    tcb.minRttAt = ctx.now;
  }
  if (tcb.minRttNow < 0 || rtt < tcb.minRttNow) tcb.minRttNow = rtt;
}

/** Steps 1 to 3 of 6.2: what the ACK in hand says about times. */
export function rackUpdate(ctx: TcpContext, tcb: Tcb, sent: Sent, segment: Segment): void {
  const { reorder } = tcb;
  if (reorder !== null && reorder.inRound && !before(tcb.sndUna, reorder.roundEnd)) reorder.inRound = false;
  if (tcb.dsacked > 0) widen(tcb);
  if (sent.delivered === 0) return;
  if (sent.reordered) noteReordering(ctx, tcb, sent);
  if (sent.original > 0) {
    sampleMinRtt(ctx, tcb, (ctx.now - sent.originalLatest) | 0);
    tcb.tlpSampled = true;
    tcb.rackRtt = (ctx.now - (sent.lastRepeated ? sent.originalLatest : sent.lastTime)) | 0;
    rackAdvance(tcb, sent.originalTurn, sent.originalEnd);
  }
  if (sent.repeated > 0 && !ambiguous(ctx, tcb, segment, sent.repeatedLatest)) {
    if (sent.lastRepeated) tcb.rackRtt = (ctx.now - sent.lastTime) | 0;
    rackAdvance(tcb, sent.repeatedTurn, sent.repeatedEnd);
  }
}

/** R8985-5: what was resent at `time` may have been acknowledged for its first copy. */
function ambiguous(ctx: TcpContext, tcb: Tcb, segment: Segment, time: number): boolean {
  const stamped = tcb.tsEnabled && segment.hasTimestamp;
  if (stamped && before(segment.tsEcr, (time + tcb.tsOffset) | 0)) return true;
  return ((ctx.now - time) | 0) < minRtt(tcb);
}

/** R8985-6 */
function rackAdvance(tcb: Tcb, turn: number, end: number): void {
  if (tcb.rackValid && !sentAfter(turn, end, tcb.rackTurn, tcb.rackEnd)) return;
  tcb.rackValid = true;
  tcb.rackTurn = turn;
  tcb.rackEnd = end;
}

/** Linux tcp_check_sack_reordering: how far what came late had fallen behind. */
function noteReordering(ctx: TcpContext, tcb: Tcb, sent: Sent): void {
  const extent = Math.ceil(((sent.fack - sent.lateFrom) | 0) / tcb.mss);
  if (extent > tcb.reordering) tcb.reordering = Math.min(extent, MOST_REORDERING);
  (tcb.reorder ??= new Reordering()).cases++;
  ctx.counters.bump(Mib.TcpExtTCPSACKReorder);
}

/** R8985-9: a D-SACK says that a resend was early. Once a round trip. */
function widen(tcb: Tcb): void {
  const reorder = (tcb.reorder ??= new Reordering());
  if (reorder.inRound) return;
  reorder.inRound = true;
  reorder.roundEnd = tcb.sndNxt;
  reorder.steps = Math.min(MOST_STEPS, reorder.steps + 1);
  reorder.persist = PERSIST;
}

/** A recovery is over. */
export function rackRecovered({ reorder }: Tcb): void {
  if (reorder !== null && reorder.persist > 0 && --reorder.persist === 0) reorder.steps = 1;
}

/** R8985-8, ms, quarters too. Note: at least 1 ms, the granularity of the clock. */
export function reorderingWindow(tcb: Tcb, sent: Sent): number {
  const enough =
    tcb.recovery !== OPEN || tcb.dupAcks >= DUP_THRESH || sent.sacked > (DUP_THRESH - 1) * tcb.mss;
  const { reorder } = tcb;
  if (enough && (reorder === null || reorder.cases === 0)) return 0;
  const steps = reorder === null ? 1 : reorder.steps;
  return Math.max(1, Math.min((steps * minRtt(tcb)) / 4, tcb.rtt.srtt));
}

/** What `detectLoss` found: bytes marked as lost, and whether one of them had been resent before. */
export const found = { bytes: 0, again: false };

/** Marks what is lost by now; `tcb.reoWait` says when to look again (R8985-10, R8985-11). */
export function detectLoss(ctx: TcpContext, tcb: Tcb, sent: Sent): void {
  found.bytes = 0;
  found.again = false;
  tcb.reoWait = 0;
  if (!tcb.sackEnabled || sent.count === 0) return;
  if (ctx.config.rack) byTime(ctx, tcb, sent);
  else byCount(tcb, sent);
  if (tcb.reoWait > 0) tcb.reoWait += ctx.config.dialect.timerSlack;
  if (found.again) ctx.counters.bump(Mib.TcpExtTCPLostRetransmit);
}

function byTime(ctx: TcpContext, tcb: Tcb, sent: Sent): void {
  if (!tcb.rackValid) return;
  const window = tcb.rackRtt + reorderingWindow(tcb, sent);
  for (let i = 0; i < sent.count; i++) {
    const fate = sent.fateOf(i);
    if (fate === SACKED || fate === LOST) continue;
    if (!sentAfter(tcb.rackTurn, tcb.rackEnd, sent.turnOf(i), sent.endOf(i))) {
      if (sent.inOrder) return;
      continue;
    }
    const left = window - ((ctx.now - sent.timeOf(i)) | 0);
    if (left <= 0) lose(sent, i);
    else if (left > tcb.reoWait) tcb.reoWait = Math.ceil(left);
  }
}

/** R6675-3, R6675-11: below the edge all is lost, and what is at SND.UNA after three duplicates. */
function byCount(tcb: Tcb, sent: Sent): void {
  const edge = sent.lostEdge(tcb.mss);
  for (let i = 0; i < sent.count && before(sent.startOf(i), edge); i++) {
    if (untouched(sent, i)) lose(sent, i);
  }
  if (tcb.dupAcks >= DUP_THRESH && untouched(sent, 0) && sent.sacked > 0) {
    sent.isolate(tcb.sndUna, tcb.mss);
    lose(sent, 0);
  }
}

/** Sent once, and nothing heard of it. */
function untouched(sent: Sent, i: number): boolean {
  return sent.markOf(i) === SENT;
}

function lose(sent: Sent, i: number): void {
  if (sent.fateOf(i) === RESENT) found.again = true;
  found.bytes += (sent.endOf(i) - sent.startOf(i)) | 0;
  sent.lose(i);
}

/** R8985-12: at an RTO the first segment and all that was sent long enough ago. */
export function loseAtTimeout(ctx: TcpContext, tcb: Tcb, sent: Sent): void {
  // R2018-12: what is at SND.UNA is resent, whatever was said about it; a peer that acknowledged it only selectively reneged
  const forget = ctx.config.forgetSack || (sent.count > 0 && sent.fateOf(0) === SACKED);
  if (!ctx.config.rack || !tcb.sackEnabled || !tcb.rackValid) {
    sent.loseAll(forget);
    return;
  }
  const window = tcb.rackRtt + reorderingWindow(tcb, sent);
  for (let i = 0; i < sent.count; i++) {
    const fate = sent.fateOf(i);
    if (fate === LOST || (fate === SACKED && !forget)) continue;
    if (i === 0 || fate === SACKED || window <= ((ctx.now - sent.timeOf(i)) | 0)) sent.lose(i);
  }
}

/** The part of a D-SACK block that concerns what was resent since `undoUna`. */
export function inEpisode(tcb: Tcb, left: number, right: number): boolean {
  return tcb.undoable && !before(left, tcb.undoUna) && !after(right, tcb.sndNxt);
}
