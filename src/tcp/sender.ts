/**
 * The sender's side of loss: what counts as lost, what an acknowledgment ends, how a
 * connection dies. RFC 5681, RFC 6582 (no SACK), RFC 6675 (SACK).
 */
import { after, before, max, min } from '../seqnum.js';
import { Mib } from '../mib.js';
import type { Segment } from '../wire/segment.js';
import type { TcpContext } from './context.js';
import { EV_CLOSED, EV_FLUSHED, EV_READABLE, EV_WRITABLE, type ConnectionError } from './events.js';
import { Scoreboard } from './scoreboard.js';
import * as S from './state.js';
import { LOSS, OPEN, RECOVERY, type Tcb } from './tcb.js';

/** Ends the connection: queues of the sender flushed, the user told. The stack removes it. */
export function fail(ctx: TcpContext, tcb: Tcb, error: ConnectionError | null): void {
  tcb.error = error;
  tcb.sendQueue.clear();
  tcb.reassembly = null;
  tcb.scoreboard = null;
  tcb.armed = 0;
  tcb.moveTo(S.CLOSED);
  ctx.charge(tcb);
  ctx.raise(tcb, EV_CLOSED | EV_READABLE);
}

/** All that is in flight counts as lost and may be resent from SND.UNA on. */
export function markAllLost(tcb: Tcb): void {
  tcb.highRxt = tcb.sndUna;
  tcb.lostEdge = tcb.sndNxt;
}

/** Bytes believed to be in the network (RFC 6675 4 SetPipe). */
export function pipe(tcb: Tcb): number {
  const una = tcb.sndUna;
  const board = tcb.scoreboard;
  const edge = max(tcb.lostEdge, una);
  const resent = min(max(tcb.highRxt, una), edge);
  let outstanding = ((tcb.sndNxt - edge) | 0) + ((resent - una) | 0);
  if (board !== null && board.ranges > 0) {
    const below = board.sackedBelow(resent);
    outstanding -= below + (board.sacked - board.sackedBelow(edge));
  }
  return outstanding;
}

/** Takes the SACK blocks of a segment; true when one told something new. */
export function takeSack(tcb: Tcb, segment: Segment): boolean {
  if (!tcb.sackEnabled || segment.sackCount === 0) return false;
  const board = (tcb.scoreboard ??= new Scoreboard());
  let fresh = false;
  for (let i = 0; i < segment.sackCount; i++) {
    if (board.add(segment.sack[2 * i]!, segment.sack[2 * i + 1]!, tcb.sndUna, tcb.sndNxt)) fresh = true;
  }
  return fresh;
}

/**
 * A duplicate acknowledgment (R5681-2) or one with new SACK information.
 * Three of them start recovery (R5681-21), the first two let new data out (limited
 * transmit, R5681-22: `output` reads `dupAcks`).
 */
export function duplicateAck(ctx: TcpContext, tcb: Tcb, freshSack: boolean): void {
  tcb.dupAcks++;
  ctx.markReady(tcb);
  if (tcb.recovery === RECOVERY) {
    if (tcb.sackEnabled) updateLostEdge(tcb);
    // R5681-27: each further duplicate means one segment left the network
    else tcb.inflation += tcb.mss;
    return;
  }
  if (tcb.recovery === LOSS) return;
  const board = tcb.scoreboard;
  const enough =
    tcb.dupAcks >= 3 || (freshSack && board !== null && board.lostEdge(tcb.sndUna, tcb.mss) !== tcb.sndUna);
  // R6582-2: not again for losses of the window that was repaired last; SACK is evidence enough at its edge
  const beyond = tcb.sackEnabled ? !before(tcb.sndUna, tcb.recover) : after(tcb.sndUna, tcb.recover);
  if (enough && beyond) enterRecovery(ctx, tcb);
}

function enterRecovery(ctx: TcpContext, tcb: Tcb): void {
  tcb.recovery = RECOVERY;
  tcb.recover = tcb.sndNxt;
  tcb.rttRunning = false;
  tcb.congestion.enterRecovery(tcb.flight, tcb.mss);
  tcb.highRxt = tcb.sndUna;
  tcb.lostEdge = tcb.sndUna;
  tcb.rexmtOwed = true;
  if (tcb.sackEnabled) {
    ctx.counters.bump(Mib.TcpExtTCPSackRecovery);
    updateLostEdge(tcb);
  } else {
    ctx.counters.bump(Mib.TcpExtTCPRenoRecovery);
    // R5681-26: the three duplicates left the network
    tcb.inflation = 3 * tcb.mss;
  }
  ctx.counters.bump(Mib.TcpExtTCPFastRetrans);
}

function updateLostEdge(tcb: Tcb): void {
  if (tcb.scoreboard === null) return;
  tcb.lostEdge = max(tcb.lostEdge, tcb.scoreboard.lostEdge(tcb.sndUna, tcb.mss));
}

/**
 * SND.UNA < SEG.ACK <= SND.NXT: the acknowledged bytes leave the queue (R9293-27),
 * the congestion window grows, recovery goes on or ends.
 */
export function acknowledge(ctx: TcpContext, tcb: Tcb, ack: number): void {
  let bytes = (ack - tcb.sndUna) | 0;
  if (!tcb.synAcked) {
    tcb.synAcked = true;
    bytes--;
  }
  const finAcked = tcb.finSent && ack === tcb.sndNxt;
  if (finAcked) bytes--;
  tcb.sndUna = ack;
  if (bytes > 0) tcb.sendQueue.release(bytes);
  tcb.bytesAcked += bytes;
  tcb.scoreboard?.advance(ack);
  tcb.highRxt = max(tcb.highRxt, ack);
  tcb.lostEdge = max(tcb.lostEdge, ack);
  tcb.retries = 0;
  tcb.dupAcks = 0;
  // What was in the way is not any more.
  tcb.softError = null;
  tcb.progressAt = ctx.now;
  if (tcb.recovery === OPEN) {
    // R5681-6: the handshake does not open the window
    if (bytes > 0) tcb.congestion.acked(bytes, tcb.mss);
    // Kept near SND.UNA, or the serial comparison would turn round after 2^31 bytes without loss.
    if (after(ack, tcb.recover)) tcb.recover = (ack - 1) | 0;
  } else recoveryAck(ctx, tcb, ack, bytes);
  if (tcb.sendBlocked && tcb.sendQueue.length <= tcb.sndLimit >> 1) {
    tcb.sendBlocked = false;
    ctx.raise(tcb, EV_WRITABLE);
  }
  if (tcb.sendQueue.length === 0 && (!tcb.finQueued || finAcked)) ctx.raise(tcb, EV_FLUSHED);
  ctx.markReady(tcb);
}

function recoveryAck(ctx: TcpContext, tcb: Tcb, ack: number, bytes: number): void {
  // R6582-3: full acknowledgment
  if (!before(ack, tcb.recover)) {
    if (tcb.recovery === RECOVERY) tcb.congestion.exitRecovery(tcb.flight, tcb.mss);
    else tcb.congestion.acked(bytes, tcb.mss);
    tcb.recovery = OPEN;
    tcb.inflation = 0;
    tcb.lostEdge = ack;
    tcb.highRxt = ack;
    return;
  }
  if (tcb.recovery === LOSS) {
    tcb.congestion.acked(bytes, tcb.mss);
    return;
  }
  if (tcb.sackEnabled) {
    updateLostEdge(tcb);
    // The hole at SND.UNA was resent and lost, or never marked: a partial ACK says it is missing (RFC 6582 3.2).
    if (!after(tcb.lostEdge, ack)) tcb.lostEdge = min((ack + tcb.mss) | 0, tcb.sndNxt);
    return;
  }
  // RFC 6582 3.2: partial acknowledgment: resend the first unacknowledged segment, deflate
  tcb.inflation = Math.max(0, tcb.inflation - bytes) + (bytes >= tcb.mss ? tcb.mss : 0);
  tcb.rexmtOwed = true;
  ctx.markReady(tcb);
}
